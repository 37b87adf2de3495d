import type { EventLog } from '#eventlog/event-log.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import type { RedisOptions } from '#gateway/generations/redis/hot.ts'
import { outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { shardBases } from '#gateway/generations/redis/shards.ts'
import { randomToken } from '#runtime/ids.ts'
import { recordOfEntry } from '../support/entry-records.ts'
import { redisClient } from '../support/redis.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'
import { type Fixture, optionsDefault } from './generations-kit.ts'

type Client = Awaited<ReturnType<typeof redisClient>>

const keepMs = 5

/** Options of one node of a test; all nodes of one test share the prefix. */
export function nodeOptions(url: string, more: Partial<RedisOptions> = {}): RedisOptions {
  return {
    ...optionsDefault,
    url,
    nodeId: 'n1',
    eventContent: 'full',
    chunkEventMs: 1_000,
    prefix: `t${randomToken().slice(0, 8)}:`,
    settleMs: 0,
    ...more,
  }
}

/** Hot state in Redis, and a log that is filled from the outbox whenever it is looked at. */
export async function redisFixture(
  url: string,
  more: Partial<RedisOptions> = {},
): Promise<Fixture> {
  let aheadMs = 0
  const options = nodeOptions(url, { keepMs, aheadMs: () => aheadMs, ...more })
  const generations = redisGenerations(options)
  atEnd(async () => await generations[Symbol.asyncDispose]())
  const prefix = options.prefix ?? ''
  const log = await drainedLog(url, prefix)
  const clients = await clientsOf(url)
  return {
    generations,
    log,
    async advance(ms) {
      for (let left = ms; left > 0; ) {
        const step = Math.min(left, options.historyTtlMs * 0.9)
        left -= step
        aheadMs += step
        await Promise.all(clients.map((client) => age(client, prefix, step)))
        // What is watched has to be kept, as it would be in that time.
        if (left > 0) await Bun.sleep(keepMs * 4)
      }
    },
  }
}

/** One for each of the servers. */
function clientsOf(url: string): Promise<Client[]> {
  return Promise.all(url.split(',').map((each) => redisClient(each)))
}

/** Every key of the test expires so much earlier. */
async function age(client: Client, prefix: string, ms: number): Promise<void> {
  for await (const keys of client.scanIterator({ MATCH: `${prefix}*`, COUNT: 1_000 })) {
    const times = await Promise.all(keys.map((key) => client.pExpireTime(key)))
    const dying = keys.flatMap((key, index) => {
      const at = times[index] ?? -1
      return at > 0 ? [client.pExpireAt(key, Math.max(1, Math.round(at - ms)))] : []
    })
    await Promise.all(dying)
  }
}

/** An event log that takes the outbox over, in order, before each look at it. */
export async function drainedLog(url: string, prefix: string): Promise<EventLog> {
  const clients = await clientsOf(url)
  const store = openStore({ dataDir: tempDir() })
  const log = sqliteLog(store)
  atEnd(async () => {
    await log[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  })
  const bases = shardBases(prefix)
  const topics = log.topics.bind(log)
  log.topics = async () => {
    await Promise.all(
      bases.flatMap((base) => clients.map((client) => drain(client, outboxKeys.stream(base), log))),
    )
    return await topics()
  }
  return log
}

/** Of one shard; on a server that has not its slot, nothing. */
async function drain(client: Client, key: string, log: EventLog): Promise<void> {
  try {
    for (;;) {
      const entries = (await client.xRange(key, '-', '+', { COUNT: 500 })) ?? []
      if (entries.length === 0) return
      await log.produce(entries.map(({ message }) => recordOfEntry(message)))
      const ids = entries.map(({ id }) => id)
      const bytes = entries.map(({ message }) => Buffer.byteLength(message['v'] ?? ''))
      const size = `${key}:size`
      await client
        .multi()
        .xDel(key, ids)
        .hIncrBy(size, 'n', -entries.length)
        .hIncrBy(size, 'b', -bytes.reduce((sum, each) => sum + each, 0))
        .exec()
    }
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('MOVED '))) throw error
  }
}
