import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from 'redis'
import { freePort } from './free-port.ts'
import { tempDir } from './temp.ts'
import { atEnd, opened } from './tracker.ts'
import { until } from './until.ts'

/** A Redis server of one's own, as operators shall run it, on a free port and with its files in a folder that goes. */
export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly dir: string
  start(): Promise<void>
  /** At once, whatever it had not written. */
  kill(): Promise<void>
  /** As an operator stops it: its files are whole. */
  stop(): Promise<void>
  /** Stands still until `resume`. */
  pause(): void
  resume(): void
}

export async function startRedis(flags: readonly string[] = []): Promise<RedisServer> {
  const port = await freePort()
  const dir = tempDir('sluice-redis')
  let child: Bun.Subprocess | null = null
  let closed: (() => void) | null = null

  async function start(): Promise<void> {
    const basics = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '']
    const files = ['--appendonly', 'yes', '--appendfsync', 'everysec']
    const command = ['redis-server', ...basics, ...files, ...flags]
    closed = opened(`redis-server on ${port}`)
    child = Bun.spawn(command, { stdout: 'ignore', stderr: 'ignore' })
    await until(() => answers(port), { timeoutMs: 15_000, everyMs: 20, what: `redis on ${port}` })
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === null) return
    child.kill(signal)
    child.kill('SIGCONT')
    await child.exited
    child = null
    closed?.()
  }

  await start()
  atEnd(() => end('SIGKILL'))
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    dir,
    start,
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
  }
}

/** The files of a Redis as they are now; what is answered puts them under it again, once it has ended. */
export function filesOf(dir: string): () => void {
  const copy = join(tempDir(), 'files')
  cpSync(dir, copy, { recursive: true })
  return () => {
    rmSync(join(dir, 'appendonlydir'), { recursive: true, force: true })
    cpSync(copy, dir, { recursive: true })
  }
}

/** A client that ends with the test or file. */
export async function redisClient(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: 50 } })
  client.on('error', () => undefined)
  await client.connect()
  atEnd(() => {
    if (client.isOpen) client.destroy()
  })
  return client
}

async function answers(port: number): Promise<boolean> {
  const client = createClient({
    url: `redis://127.0.0.1:${port}`,
    socket: { reconnectStrategy: false, connectTimeout: 500 },
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.ping()) === 'PONG'
  } catch {
    return false
  } finally {
    if (client.isOpen) client.destroy()
  }
}
