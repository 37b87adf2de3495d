import type { EventLog, LogRecord } from '#eventlog/event-log.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { decodeRecord } from '#events/codec.ts'
import type { Event } from '#events/event.ts'
import type { GatewayConfig } from '#gateway/config.ts'
import type { Generations } from '#gateway/generations/generations.ts'
import { sqliteGenerations } from '#gateway/generations/sqlite/sqlite-generations.ts'
import type { Limits } from '#gateway/limits/limits.ts'
import { memoryLimits } from '#gateway/limits/memory-limits.ts'
import { realHotParts } from './real-hot-parts.ts'

/** What one node has of hot state. */
export interface HotParts {
  generations: Generations
  limits: Limits
}

/** Hot state and all nodes' views of it: of SQLite one, of Redis two. */
export interface HotState extends AsyncDisposable {
  nodes: readonly [HotParts, ...HotParts[]]
  log: HotLog
  /** Redis' own clock is not the test's: what has had its time by the test's goes. SQLite sees to that by itself. */
  expire(sessionId: string): Promise<void>
}

/** What the steps have told. */
export interface HotLog {
  /** Every record, in the order of partitions and offsets. */
  records(): Promise<LogRecord[]>
  events(): Promise<Event[]>
  /** For consumers; ends with hot state. */
  eventLog(): Promise<EventLog>
}

export type HotConfig = Pick<
  GatewayConfig,
  | 'dataDir'
  | 'limits'
  | 'resumeTtlMs'
  | 'historyTtlMs'
  | 'outboxMaxEvents'
  | 'outboxMaxBytes'
  | 'chat'
>

const redisOfRun = process.env['SLUICE_TEST_REDIS']
/** Whether this run is of the real parts, with two nodes. */
export const isReal = redisOfRun !== undefined

/** For the configuration of a node: none is embedded. No test in this process talks to the last two. */
export function serversOf(redisUrl = redisOfRun): Record<string, string> {
  if (redisUrl === undefined) return {}
  return {
    REDIS_URL: redisUrl,
    KAFKA_BROKERS: '127.0.0.1:1',
    DATABASE_URL: 'postgres://127.0.0.1:1/none',
  }
}

interface HotPartsOptions {
  now?: () => number
  /** Whatever the run is of. */
  redisUrl?: string | undefined
  /** The second node's own way there. */
  secondRedisUrl?: string | undefined
}

/** Those of this run: a second call for the same folder finds what the first has left there. */
export function hotParts(config: HotConfig, options: HotPartsOptions = {}): HotState {
  const { now = Date.now, redisUrl = redisOfRun } = options
  if (redisUrl === undefined) return embedded(config, now)
  return realHotParts([redisUrl, options.secondRedisUrl ?? redisUrl], config, now)
}

function embedded(config: HotConfig, now: () => number): HotState {
  const store = openStore({ dataDir: config.dataDir })
  const generations = sqliteGenerations(store, config, { now })
  const ending = new AsyncDisposableStack()
  const records = async () => {
    await using log = sqliteLog(store)
    return await recordsOf(log)
  }
  return {
    nodes: [{ generations, limits: memoryLimits(config.limits, now) }],
    log: {
      records,
      events: async () => (await records()).map(eventOf),
      eventLog: async () => ending.use(sqliteLog(store)),
    },
    expire: () => Promise.resolve(),
    async [Symbol.asyncDispose]() {
      await ending.disposeAsync()
      await generations[Symbol.asyncDispose]()
      store[Symbol.dispose]()
    },
  }
}

async function recordsOf(log: EventLog): Promise<LogRecord[]> {
  const all: LogRecord[] = []
  for (const topic of ['stream-events', 'chat-events']) {
    for (const kept of (await log.kept(topic)) ?? []) {
      for await (const records of log.read(kept, AbortSignal.timeout(5_000))) all.push(...records)
    }
  }
  return all
}

export function eventOf(record: Parameters<typeof decodeRecord>[0]): Event {
  const decoded = decodeRecord(record)
  if (decoded.is === 'event') return decoded.event
  throw new Error(`the log holds a bad event: ${JSON.stringify(decoded)}`)
}
