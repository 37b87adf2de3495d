import { fileURLToPath } from 'node:url'
import { opened } from './tracker.ts'

export interface SluiceProcess extends AsyncDisposable {
  url: string
  pid: number
  /** Milliseconds from the start of the process to its `ready` line. */
  readyMs: number
  /** Every line that it wrote so far. */
  lines: readonly string[]
  /** Resolves with the exit code once it is gone. */
  kill(signal: NodeJS.Signals): Promise<number>
  exited: Promise<number>
}

interface StartOptions {
  dataDir: string
  env?: Record<string, string>
}

const startMs = 20_000
const main = fileURLToPath(new URL('../../gateway/embedded/main.ts', import.meta.url))

/** The product as its users start it, on a free port; rejects with what it wrote when it ends before it is ready. */
export async function startSluice({ dataDir, env = {} }: StartOptions): Promise<SluiceProcess> {
  const fromMs = performance.now()
  const child = Bun.spawn([process.execPath, main], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: dataDir,
      ...env,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const closed = opened(`process ${child.pid}`)
  const exited = child.exited.finally(closed)
  const lines: string[] = []
  const errors = new Response(child.stderr).text()
  const url = await Promise.race([
    readyUrl(child.stdout, lines),
    exited.then(() => null),
    Bun.sleep(startMs).then(() => null),
  ])
  if (url === null) {
    child.kill('SIGKILL')
    throw new Error(`not ready, exit code ${await exited}:\n${lines.join('\n')}\n${await errors}`)
  }
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return exited
  }
  return {
    url: url.replace(/\/$/, ''),
    pid: child.pid,
    readyMs: performance.now() - fromMs,
    lines,
    kill,
    exited,
    async [Symbol.asyncDispose]() {
      await kill('SIGKILL')
    },
  }
}

/** Goes on collecting lines after it has resolved; null when the process closes its output first. */
function readyUrl(stdout: ReadableStream<Uint8Array>, lines: string[]): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const read = async () => {
      const decoder = new TextDecoder()
      let text = ''
      for await (const bytes of stdout as unknown as AsyncIterable<Uint8Array>) {
        const parts = (text + decoder.decode(bytes, { stream: true })).split('\n')
        text = parts.pop() ?? ''
        lines.push(...parts)
        for (const line of parts) {
          const said = line.startsWith('{')
            ? (JSON.parse(line) as { msg?: string; url?: string })
            : {}
          if (said.msg === 'ready' && said.url !== undefined) resolve(said.url)
        }
      }
      resolve(null)
    }
    read().catch(reject)
  })
}
