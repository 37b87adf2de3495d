import { createClient } from 'redis'
import type { LogRecord } from '#eventlog/event-log.ts'
import { partitionOf } from '#events/murmur2.ts'
import { outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { redisOutbox } from '#gateway/generations/redis/redis-outbox.ts'
import { shardBases, shardOfSession } from '#gateway/generations/redis/shards.ts'
import { redisLimits } from '#gateway/limits/redis/redis-limits.ts'
import { serveRelay } from '#gateway/relay/serve-relay.ts'
import { quietLog } from '#runtime/log.ts'
import { recordOfEntry } from './entry-records.ts'
import { eventOf, type HotConfig, type HotParts, type HotState } from './hot-parts.ts'
import { productBroker } from './product-broker.ts'

/** Two nodes over one Redis; the keys are named after the folder, as the SQLite file would be in it. */
export function realHotParts(
  [url, secondUrl]: readonly [string, string],
  config: HotConfig,
  now: () => number,
): HotState {
  const prefix = `${Bun.hash(config.dataDir).toString(36)}:`
  const aheadMs = () => now() - Date.now()
  const open = (nodeId: string, ownUrl: string) => {
    const generations = redisGenerations({
      ...{ ...config, ...config.chat, url: ownUrl, nodeId, prefix, aheadMs },
      // All nodes of a test are young.
      settleMs: 0,
    })
    const { routes } = generations
    const limits = redisLimits({ routes, config: config.limits, log: quietLog, now, aheadMs })
    return { generations, limits }
  }
  const nodes = [open('test-node-0', url), open('test-node-1', secondUrl)] as const
  const ending = new AsyncDisposableStack()
  const records = () => recordsOf(url, prefix)
  return {
    nodes: nodes satisfies readonly [HotParts, ...HotParts[]],
    log: {
      records,
      events: async () => (await records()).map(eventOf),
      eventLog: async () => {
        const { eventLog } = await productBroker()
        const stopping = new AbortController()
        const outbox = ending.use(redisOutbox({ url, prefix }))
        const relay = serveRelay({
          ...{ outbox, eventLog, log: quietLog, signal: stopping.signal },
          config: { nodeId: 'test-relay', host: '127.0.0.1', port: null },
        })
        ending.defer(() => {
          stopping.abort()
          return relay
        })
        return eventLog
      },
    },
    async expire(sessionId) {
      const base = shardBases(prefix)[shardOfSession(sessionId)]
      const keys = ['s:', 'l:', 'h:'].map((kind) => `${base}${kind}${sessionId}`)
      await withClient(url, (client) => client.del(keys))
    },
    async [Symbol.asyncDispose]() {
      await ending.disposeAsync()
      for (const { limits, generations } of nodes) {
        await limits[Symbol.asyncDispose]()
        await generations[Symbol.asyncDispose]()
      }
    },
  }
}

/** What waits in the outbox, as a log would hold it: all that was told, as long as nobody asks for a relay. */
function recordsOf(url: string, prefix: string): Promise<LogRecord[]> {
  return withClient(url, async (client) => {
    const streams = await Promise.all(
      shardBases(prefix).map((base) => client.xRange(outboxKeys.stream(base), '-', '+')),
    )
    const all = streams.flat().flatMap((entry) => (entry ? [recordOfEntry(entry.message)] : []))
    const ends = new Map<string, number>()
    return all.map((record) => {
      const partition = partitionOf(record.key, 16)
      const place = `${record.topic} ${partition}`
      const offset = ends.get(place) ?? 0
      ends.set(place, offset + 1)
      const { topic, key, value, headers, timestamp } = record
      return { topic, key, value, headers, timestamp, partition, offset }
    })
  })
}

type Client = ReturnType<typeof createClient>

async function withClient<T>(url: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client: Client = createClient({ url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await use(client)
  } finally {
    client.destroy()
  }
}
