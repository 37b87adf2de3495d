import type { Database } from '#db/client.ts'
import { dbOver } from '#db/client.ts'
import { DatabaseAway } from '#db/errors.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { openStore, type Store } from '#eventlog/sqlite/store.ts'
import { postgresArchive } from '#gateway/archive/postgres-archive.ts'
import type { Archive } from '#gateway/chat/archive.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import type { ViewersTiming } from '#gateway/chat/viewers/viewers.ts'
import { gatewayConfig } from '#gateway/config.ts'
import { createGateway, type Gateway, type GatewayParts } from '#gateway/gateway.ts'
import type { Generations } from '#gateway/generations/generations.ts'
import { sqliteGenerations } from '#gateway/generations/sqlite/sqlite-generations.ts'
import { memoryLimits } from '#gateway/limits/memory-limits.ts'
import { demoModel } from '#gateway/models/demo.ts'
import type { Model } from '#gateway/models/model.ts'
import type { Env } from '#runtime/env.ts'
import { type Log, quietLog } from '#runtime/log.ts'
import { PlainArchive } from './asks-node.ts'
import { testDatabase } from './postgres.ts'
import { tempDir } from './temp.ts'
import { opened } from './tracker.ts'

export interface TestGatewayOptions {
  /** As the process's environment; `PORT` is 0 and `DATA_DIR` a temporary one when they are left out. */
  env?: Env
  /** The demo model without pauses when left out. */
  model?: Model
  /** Left out: there is no Postgres, and nobody waits for it. */
  database?: Database
  /** What is older than hot state, when there is no database; left out: nothing. */
  archive?: Archive
  forwardReplay?: GatewayParts['forwardReplay']
  dependencies?: GatewayParts['dependencies']
  log?: Log
  now?: () => number
  timing?: Partial<ViewersTiming>
  /** Between this node and its hot state. */
  between?: (generations: Generations) => Generations
}

export interface TestGateway extends AsyncDisposable {
  url: string
  gateway: Gateway
  generations: Generations
  store: Store
  dataDir: string
  /** A call of the REST API with a JSON body, as `as` (a token), and what came of it. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** A token for a user, of `POST /api/dev/token`. */
  token(userId: string, roles?: string[]): Promise<string>
}

export interface CallOptions {
  as?: string
  body?: unknown
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it.
  body: any
}

/** A whole gateway in this process: real sockets, a real store, and a real Postgres when it is given one. */
export function testGateway(options: TestGatewayOptions = {}): TestGateway {
  const dataDir = options.env?.['DATA_DIR'] ?? tempDir()
  const config = gatewayConfig({ PORT: '0', DATA_DIR: dataDir, ...options.env }, 'test-node')
  const store = openStore({ dataDir })
  const now = options.now ?? Date.now
  const kept = sqliteGenerations(store, config, { now })
  const generations = options.between?.(kept) ?? kept
  const { database = away } = options
  const gateway = createGateway({
    config,
    generations,
    database,
    archive:
      options.archive ?? (database === away ? new PlainArchive() : postgresArchive(database)),
    limits: memoryLimits(config.limits, now),
    model: options.model ?? demoModel({ tokensPerSecond: 0, firstTokenMs: 0 }),
    forwardReplay: options.forwardReplay ?? noReplay,
    log: options.log ?? quietLog,
    now,
    ...(options.dependencies && { dependencies: options.dependencies }),
    ...(options.timing && { timing: options.timing }),
  })
  const closed = opened('gateway')
  const { url } = gateway
  const call = (method: string, path: string, asked: CallOptions = {}) =>
    answerOf(fetch(url + path, requestOf(method, asked)))
  return {
    url,
    gateway,
    generations: kept,
    store,
    dataDir,
    call,
    async token(userId, roles = []) {
      const { body } = await call('POST', '/api/dev/token', { body: { userId, roles } })
      return body.token
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await kept[Symbol.asyncDispose]()
      store[Symbol.dispose]()
      closed()
    },
  }
}

/** A Postgres of one's own with all tables; disposing drops it. */
export async function migratedDatabase(): Promise<Database> {
  const server = await testDatabase()
  const database = postgresDatabase(server.url, { max: 4 })
  await migrate(database, { nowMs: Date.now() })
  return {
    ...database,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

const gone = () => Promise.reject(new DatabaseAway('this test has no database'))

const away: Database = {
  db: dbOver(gone),
  transaction: gone,
  health: async () => ({ state: 'down', reason: 'this test has no database' }),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

const noReplay: GatewayParts['forwardReplay'] = () =>
  Promise.reject(new ContractError('unavailable', 'this test has no replay'))

function requestOf(method: string, { as, body, headers }: CallOptions): RequestInit {
  return {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...(as !== undefined && { authorization: `Bearer ${as}` }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  }
}

async function answerOf(asked: Promise<Response>): Promise<Answer> {
  const response = await asked
  const text = await response.text()
  const type = response.headers.get('content-type') ?? ''
  const isJson = type.startsWith('application/json') && text !== ''
  const body: unknown = isJson ? JSON.parse(text) : undefined
  return { status: response.status, headers: response.headers, text, body }
}
