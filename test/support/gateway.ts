import type { Database } from '#db/client.ts'
import { dbOver } from '#db/client.ts'
import { DatabaseAway } from '#db/errors.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { postgresArchive } from '#gateway/archive/postgres-archive.ts'
import type { Archive } from '#gateway/chat/archive.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import type { ViewersTiming } from '#gateway/chat/viewers/viewers.ts'
import { gatewayConfig } from '#gateway/config.ts'
import { createGateway, type Gateway, type GatewayParts } from '#gateway/gateway.ts'
import type { Generations } from '#gateway/generations/generations.ts'
import { demoModel } from '#gateway/models/demo.ts'
import type { Model } from '#gateway/models/model.ts'
import type { Env } from '#runtime/env.ts'
import { type Log, quietLog } from '#runtime/log.ts'
import { PlainArchive } from './asks-node.ts'
import { type HotLog, type HotParts, type HotState, hotParts, serversOf } from './hot-parts.ts'
import { testDatabase } from './postgres.ts'
import { roundRobin } from './round-robin.ts'
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
  /** Two nodes over this Redis, whatever the run is of. */
  redisUrl?: string
  /** The second node's own way there. */
  secondRedisUrl?: string
  /** Between this node and its hot state. */
  between?: (generations: Generations) => Generations
}

export interface TestGateway extends AsyncDisposable {
  url: string
  /** Past the proxy, where there is one: for what a buffer on the way would hide. */
  direct: string
  /** Each by itself; of the embedded parts there is one. */
  nodes: readonly Gateway[]
  gateway: Gateway
  generations: Generations
  /** What its steps have told. */
  log: HotLog
  expire: HotState['expire']
  dataDir: string
  /** A call of the REST API with a JSON body, as `as` (a token), and what came of it. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** A token for a user, of `POST /api/dev/token`. */
  token(userId: string, roles?: string[]): Promise<string>
}

export interface CallOptions {
  as?: string
  /** One node, where it matters which. */
  url?: string
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

/**
 * A whole gateway in this process: real sockets, real hot state, and a real Postgres when it is given one. Where the run
 * is of the real parts it is two nodes over Redis, behind a proxy that sends every call to the other one.
 */
export function testGateway(options: TestGatewayOptions = {}): TestGateway {
  const dataDir = options.env?.['DATA_DIR'] ?? tempDir()
  const now = options.now ?? Date.now
  const { database = away } = options
  const archive =
    options.archive ?? (database === away ? new PlainArchive() : postgresArchive(database))
  const model = options.model ?? demoModel({ tokensPerSecond: 0, firstTokenMs: 0 })
  const start = (nodeId: string, parts: HotParts) => {
    const config = gatewayConfig(
      { PORT: '0', DATA_DIR: dataDir, ...serversOf(options.redisUrl), ...options.env },
      nodeId,
    )
    return createGateway({
      ...{ config, database, archive, model, now },
      generations: options.between?.(parts.generations) ?? parts.generations,
      limits: parts.limits,
      forwardReplay: options.forwardReplay ?? noReplay,
      log: options.log ?? quietLog,
      ...(options.dependencies && { dependencies: options.dependencies }),
      ...(options.timing && { timing: options.timing }),
    })
  }
  const config = gatewayConfig({ DATA_DIR: dataDir, ...options.env }, 'test-node')
  const { redisUrl, secondRedisUrl } = options
  const hot = hotParts(config, { now, redisUrl, secondRedisUrl })
  const [first, ...more] = hot.nodes
  const { generations } = first
  const own = start('test-node', first)
  const others = more.map((parts, index) => start(`test-node-${index + 2}`, parts))
  const gateway = together(own, others)
  const closed = opened('gateway')
  const { url } = gateway
  const direct = own.url
  const call = (method: string, path: string, asked: CallOptions = {}) =>
    answerOf(fetch((asked.url ?? url) + path, requestOf(method, asked)))
  return {
    url,
    direct,
    nodes: [own, ...others],
    gateway,
    generations,
    log: hot.log,
    expire: hot.expire,
    dataDir,
    call,
    async token(userId, roles = []) {
      const { body } = await call('POST', '/api/dev/token', { body: { userId, roles } })
      return body.token
    },
    async [Symbol.asyncDispose]() {
      await gateway.stop()
      await hot[Symbol.asyncDispose]()
      closed()
    },
  }
}

/** Several nodes as one, by way of a proxy; one by itself. */
function together(first: Gateway, more: readonly Gateway[]): Gateway {
  if (more.length === 0) return first
  const gateways = [first, ...more]
  const ports = gateways.map(({ url }) => Number(new URL(url).port))
  const proxy = roundRobin(() => ports)
  const stop = async () => {
    proxy.close()
    await Promise.all(gateways.map((gateway) => gateway.stop()))
  }
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    async drain() {
      await Promise.all(gateways.map((gateway) => gateway.drain()))
    },
    stop,
    [Symbol.asyncDispose]: stop,
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
