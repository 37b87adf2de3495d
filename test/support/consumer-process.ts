import { fileURLToPath } from 'node:url'
import { atEnd, opened } from './tracker.ts'
import { until } from './until.ts'

type Name = 'audit' | 'analytics' | 'history' | 'notify' | 'replay'

interface Ended {
  code: number
  out: string
  err: string
}

/** A process of the real mode, as its users start it. */
export interface ConsumerProcess {
  pid: number
  /** Its JSON lines so far. */
  lines(): Record<string, unknown>[]
  /** Resolves with its `ready` line. */
  ready(timeoutMs?: number): Promise<Record<string, unknown>>
  /** Where it listens. */
  url(): Promise<string>
  kill(signal: NodeJS.Signals): Promise<Ended>
  ended: Promise<Ended>
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `bun run consumer:<name>`; ends with the test. */
export function startConsumer(
  name: Name,
  env: Record<string, string>,
  args: string[] = [],
): ConsumerProcess {
  return startMain(`consumers/${name}/main.ts`, env, args)
}

/** A command of `cli/`, to its end. */
export function runCli(
  name: 'lag' | 'dlq',
  env: Record<string, string>,
  args: string[],
): Promise<Ended> {
  return startMain(`cli/${name}/main.ts`, env, args).ended
}

export function startMain(
  path: string,
  env: Record<string, string>,
  args: string[] = [],
): ConsumerProcess {
  const child = Bun.spawn([process.execPath, root + path, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOST: '127.0.0.1', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const closed = opened(`process ${child.pid}`)
  let out = ''
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const bytes of child.stdout as unknown as AsyncIterable<Uint8Array>) {
      out += decoder.decode(bytes, { stream: true })
    }
  })()
  const ended = (async () => {
    const err = await new Response(child.stderr).text()
    await reading
    const code = await child.exited
    closed()
    return { code, out, err }
  })()
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal)
    return ended
  }
  atEnd(async () => {
    await kill('SIGKILL')
  })
  const lines = () =>
    out
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const ready = (timeoutMs = 20_000) =>
    until(() => lines().find(({ msg }) => msg === 'ready'), {
      timeoutMs,
      everyMs: 20,
      what: `${path} is ready`,
    }) as Promise<Record<string, unknown>>
  return {
    pid: child.pid,
    lines,
    ready,
    url: async () => String((await ready())['url']),
    kill,
    ended,
  }
}
