import type { LoadOptions } from './load/load.ts'
import { onCore, type ServerProcess, startServer } from './process.ts'
import { nowMs } from './source.ts'

export type Target = 'bare' | 'sluice'

export interface RunOptions {
  target: Target
  load: 'stream' | 'fanout' | 'resume' | 'idle'
  clients: number
  tokensPerSecond?: number
  seconds?: number
}

export type Figures = Record<string, number | string>

const loadMs = 120_000
const answerSeconds = { stream: 12, fanout: 6, resume: 8, idle: 6 }

/** One load against a fresh server: the server on one core, the load on the other. */
export async function runLoad(options: RunOptions): Promise<Figures> {
  const { target, load, clients, tokensPerSecond = 30 } = options
  const { seconds = answerSeconds[load] } = options
  const epochMs = Math.floor(nowMs())
  const tokens = Math.round(tokensPerSecond * seconds)
  await using server: ServerProcess = await startServer(`${target}.ts`, {
    BENCH_EPOCH_MS: String(epochMs),
    BENCH_RATE: String(tokensPerSecond),
    BENCH_TOKENS: String(tokens),
    BENCH_LOAD: load,
  })
  const told: LoadOptions = {
    nodes: [server.url],
    pids: [server.pid],
    epochMs,
    clients,
    tokensPerSecond,
    tokens,
  }
  const script = new URL(`./load/${load}.ts`, import.meta.url).pathname
  const child = Bun.spawn([...onCore(1), process.execPath, script, JSON.stringify(told)], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
    timeout: loadMs,
  })
  const text = await new Response(child.stdout).text()
  if ((await child.exited) !== 0) throw new Error(`the load ${load} failed against ${target}`)
  return JSON.parse(text) as Figures
}
