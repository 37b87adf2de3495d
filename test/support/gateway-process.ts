import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { type ConsumerProcess, startMain } from './consumer-process.ts'
import { testDatabase } from './postgres.ts'
import { atFileEnd } from './tracker.ts'
import { until } from './until.ts'

export interface GatewayProcess extends ConsumerProcess {
  url(): Promise<string>
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Told>
  /** What `/health/ready` says. */
  health(): Promise<Told>
  /** Resolves once it does say so. */
  healthy(what: (told: Told) => boolean, timeoutMs?: number): Promise<Told>
}

export interface Told {
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it.
  body: any
}

export interface Servers {
  redisUrl: string
  databaseUrl: string
}

// Long, for the machine may be busy with other tests.
const startMs = 40_000

/** `bun run gateway` on a free port; ends with the test. No Kafka is there, and a gateway must not miss it. */
export function startGateway(
  { redisUrl, databaseUrl }: Servers,
  env: Record<string, string> = {},
): GatewayProcess {
  const started = startMain('gateway/main.ts', {
    PORT: '0',
    KAFKA_BROKERS: '127.0.0.1:1',
    REDIS_URL: redisUrl,
    DATABASE_URL: databaseUrl,
    ...env,
  })
  const url = async () => String((await started.ready(startMs))['url']).replace(/\/$/, '')
  const call: GatewayProcess['call'] = async (method, path, body, headers = {}) => {
    const response = await fetch((await url()) + path, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    return { status: response.status, body: isJson ? JSON.parse(text) : text }
  }
  const health = () => call('GET', '/health/ready')
  return {
    ...started,
    url,
    call,
    health,
    async healthy(what, timeoutMs = 30_000) {
      let last: Told | undefined
      try {
        return (await until(
          async () => {
            last = await health()
            return what(last) ? last : null
          },
          { timeoutMs, everyMs: 50 },
        )) as Told
      } catch (cause) {
        throw new Error(`its health stayed ${JSON.stringify(last)}`, { cause })
      }
    },
  }
}

/** An empty Postgres with all tables, for the whole file. */
export async function migratedUrl(): Promise<string> {
  const server = await testDatabase()
  atFileEnd(async () => await server[Symbol.asyncDispose]())
  await using database = postgresDatabase(server.url, { max: 2 })
  await migrate(database, { nowMs: Date.now() })
  return server.url
}
