import { readFileSync } from 'node:fs'

export interface ServerProcess extends AsyncDisposable {
  pid: number
  url: string
  /** CPU seconds of the process so far, all threads. */
  cpuSeconds(): number
  /** Resident memory in KiB. */
  rssKb(): number
  kill(signal: NodeJS.Signals): Promise<void>
}

const ticksPerSecond = 100
const startMs = 20_000

/** Starts a server of `bench/servers` on a core of its own and waits until it is ready. */
export async function startServer(
  script: string,
  env: Record<string, string>,
): Promise<ServerProcess> {
  const path = new URL(`./servers/${script}`, import.meta.url).pathname
  const child = Bun.spawn([...onCore(0), process.execPath, path], {
    env: { ...process.env, ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const url = await Promise.race([readyUrl(child.stdout), Bun.sleep(startMs).then(() => null)])
  if (url === null) {
    child.kill('SIGKILL')
    throw new Error(`${script} was not ready after ${startMs / 1_000} s`)
  }
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await child.exited
  }
  return {
    pid: child.pid,
    url,
    cpuSeconds: () => cpuSecondsOf(child.pid),
    rssKb: () => rssKbOf(child.pid),
    kill,
    [Symbol.asyncDispose]: () => kill('SIGKILL'),
  }
}

/** `taskset` to one core; nothing where there is none. */
export function onCore(core: number): string[] {
  return Bun.which('taskset') === null ? [] : ['taskset', '-c', String(core)]
}

export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

export function rssKbOf(pid: number): number {
  const match = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1] ?? Number.NaN)
}

/** Reads on after that: a server whose output nobody takes would stand still. */
function readyUrl(stdout: ReadableStream<Uint8Array>): Promise<string> {
  return new Promise((resolve, reject) => {
    const read = async () => {
      const decoder = new TextDecoder()
      let text = ''
      for await (const bytes of stdout as unknown as AsyncIterable<Uint8Array>) {
        const lines = (text + decoder.decode(bytes, { stream: true })).split('\n')
        text = lines.pop() ?? ''
        for (const line of lines) {
          const url = urlOf(line)
          if (url !== null) resolve(url)
        }
      }
      throw new Error(`the server ended before it was ready: ${text}`)
    }
    read().catch(reject)
  })
}

function urlOf(line: string): string | null {
  if (!line.startsWith('{')) return null
  const said = JSON.parse(line) as { msg?: string; url?: string }
  return said.msg === 'ready' && said.url !== undefined ? said.url : null
}
