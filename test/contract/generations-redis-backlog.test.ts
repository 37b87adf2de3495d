import { beforeAll, expect, test } from 'bun:test'
import { outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { shardBases, shardOfSession } from '#gateway/generations/redis/shards.ts'
import { type RedisServer, redisClient, startRedis } from '../support/redis.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { nodeOptions } from './generations-redis-fixture.ts'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
}, 30_000)

function nodeWith(more: Parameters<typeof nodeOptions>[1]) {
  const options = nodeOptions(server.url, more)
  const generations = redisGenerations(options)
  atEnd(async () => await generations[Symbol.asyncDispose]())
  return { generations, bases: shardBases(options.prefix ?? '') }
}

const long = { timeoutMs: 15_000, everyMs: 50 }

for (const offMs of [-5_000, 5_000]) {
  test(`a node whose clock is ${offMs} ms off Redis' says so and is degraded`, async () => {
    const { generations } = nodeWith({ now: () => Date.now() + offMs })
    await until(async () => (await generations.health()).degraded, long)
    const { state, reason } = await generations.health()
    expect(state).toBe('up')
    expect(Number(/clock of this node is (-?\d+) ms off/.exec(reason ?? '')?.[1])).toBeWithin(
      offMs - 1_500,
      offMs + 1_500,
    )
  })
}

test('a session whose shard has used half of its share of the outbox is crowded, others are not', async () => {
  const { generations, bases } = nodeWith({ outboxMaxEvents: 6_400 })
  const client = await redisClient(server.url)
  const size = outboxKeys.size(bases[shardOfSession('one')] ?? '')
  await client.hSet(size, { n: 49, b: 10 })
  await until(() => generations.backlog.events === 49, long)
  expect(generations.isCrowded('one')).toBe(false)
  await client.hSet(size, { n: 50, b: 10 })
  await until(() => generations.isCrowded('one'), long)
  const other = Array.from({ length: 50 }, (_, n) => `o${n}`).find(
    (id) => shardOfSession(id) !== shardOfSession('one'),
  )
  expect(generations.isCrowded(other ?? '')).toBe(false)
  await client.del(size)
  await until(() => !generations.isCrowded('one'), long)
})
