import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { freePort } from '../test/support/free-port.ts'
import { testDatabase } from '../test/support/postgres.ts'
import { onCore } from './process.ts'

/** What gateways on real servers run on. */
export interface RealServers extends AsyncDisposable {
  redisUrl: string
  redisPid: number
  databaseUrl: string
  /** For a gateway. There is no Kafka: a gateway speaks with none, and the outbox grows. */
  env: Record<string, string>
}

export interface RedisProcess extends AsyncDisposable {
  url: string
  pid: number
}

const startMs = 10_000

/** Redis on the servers' core, and an empty database of the product's on the Postgres of this machine. */
export async function realServers(): Promise<RealServers> {
  const redis = await redisServer()
  const database = await testDatabase()
  const made = postgresDatabase(database.url, { max: 1, name: 'bench' })
  await migrate(made, { nowMs: Date.now(), by: 'month' })
  await made[Symbol.asyncDispose]()
  return {
    redisUrl: redis.url,
    redisPid: redis.pid,
    databaseUrl: database.url,
    env: { KAFKA_BROKERS: '127.0.0.1:9', REDIS_URL: redis.url, DATABASE_URL: database.url },
    async [Symbol.asyncDispose]() {
      await redis[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

/** As an operator shall run it: nothing is evicted, files are written once a second. */
export async function redisServer(): Promise<RedisProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-redis-'))
  const port = await freePort()
  const basics = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const files = ['--appendonly', 'yes', '--appendfsync', 'everysec']
  const child = Bun.spawn([...onCore(0), 'redis-server', ...basics, ...files], {
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
  const url = `redis://127.0.0.1:${port}`
  const end = async () => {
    child.kill('SIGKILL')
    await child.exited
    rmSync(folder, { recursive: true, force: true })
  }
  const endMs = performance.now() + startMs
  while (!(await answers(url))) {
    if (performance.now() < endMs) continue
    await end()
    throw new Error('no redis-server: "apt-get install -y redis-server" brings it')
  }
  return { url, pid: child.pid, [Symbol.asyncDispose]: end }
}

async function answers(url: string): Promise<boolean> {
  const client = createClient({ url, socket: { reconnectStrategy: false } })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.ping()
    return true
  } catch {
    await Bun.sleep(20)
    return false
  } finally {
    if (client.isOpen) client.destroy()
  }
}
