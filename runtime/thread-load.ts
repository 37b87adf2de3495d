import { openSync, readSync } from 'node:fs'

const textMax = 128
/** One file for all that ask in this thread: it stays open as long as the thread. */
let wantedUsOfThread: (() => number) | null = null

/**
 * Part of the time (0 to 1) that this thread has computed, or waited for a processor, since the last call; the same answer
 * again within `everyMs`. Where the processor is shared with others it is the waiting that says that there is no more of
 * it; only Linux tells it.
 */
export function threadLoad(everyMs = 100): (nowMs: number) => number {
  wantedUsOfThread ??= waitingOf() ?? cpuUsNow
  const wantedUs = wantedUsOfThread
  let atMs = performance.now()
  let beforeUs = wantedUs()
  let load = 0
  return (nowMs) => {
    const wallMs = nowMs - atMs
    if (wallMs < everyMs) return load
    const nowUs = wantedUs()
    load = Math.min(1, (nowUs - beforeUs) / (wallMs * 1_000))
    atMs = nowMs
    beforeUs = nowUs
    return load
  }
}

function cpuUsNow(): number {
  const { user, system } = process.threadCpuUsage()
  return user + system
}

/** Microseconds on a processor and in its queue, of the thread that asks; null where nobody counts them. */
function waitingOf(): (() => number) | null {
  let file: number
  try {
    file = openSync('/proc/thread-self/schedstat', 'r')
  } catch {
    return null
  }
  const bytes = Buffer.alloc(textMax)
  return () => {
    const [onCpuNs = '0', queuedNs = '0'] = bytes
      .toString('latin1', 0, readSync(file, bytes, 0, textMax, 0))
      .split(' ')
    return (Number(onCpuNs) + Number(queuedNs)) / 1_000
  }
}
