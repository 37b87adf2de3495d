/** Part of the time (0 to 1) that this thread has computed since the last call; the same answer again within `everyMs`. */
export function threadLoad(everyMs = 100): (nowMs: number) => number {
  let atMs = performance.now()
  let cpuUs = cpuUsNow()
  let load = 0
  return (nowMs) => {
    const wallMs = nowMs - atMs
    if (wallMs < everyMs) return load
    const nowUs = cpuUsNow()
    load = Math.min(1, (nowUs - cpuUs) / (wallMs * 1_000))
    atMs = nowMs
    cpuUs = nowUs
    return load
  }
}

function cpuUsNow(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}
