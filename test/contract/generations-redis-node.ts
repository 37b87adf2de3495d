import type { RedisOptions } from '#gateway/generations/redis/hot.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { type RedisServer, redisClient } from '../support/redis.ts'
import { atEnd } from '../support/tracker.ts'
import type { Fixture } from './generations-kit.ts'
import { drainedLog, nodeOptions } from './generations-redis-fixture.ts'

/** Nodes on one Redis, each by its own way to it, and the log that its outbox fills. */
export async function redisNodes(redis: RedisServer, more: Partial<RedisOptions> = {}) {
  const options = nodeOptions(redis.url, { timeoutMs: 1_000, ...more })
  const node = (own: Partial<RedisOptions> = {}) => {
    const generations = redisGenerations({ ...options, ...own })
    atEnd(async () => await generations[Symbol.asyncDispose]())
    return generations
  }
  const client = await redisClient(redis.url)
  const log = await drainedLog(redis.url, options.prefix ?? '')
  const generations = node()
  const fixture: Fixture = { generations, log, advance: Bun.sleep }
  return { options, node, client, log, generations, fixture }
}
