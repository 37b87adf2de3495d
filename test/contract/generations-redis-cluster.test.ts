import { beforeAll, describe, expect, test } from 'bun:test'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { shardBases, slotOf } from '#gateway/generations/redis/shards.ts'
import { type RedisCluster, startCluster } from '../support/redis-cluster.ts'
import { until } from '../support/until.ts'
import { generationsContract } from './generations.ts'
import { eventsOf, newSession } from './generations-kit.ts'
import { faultsOverEpochs } from './generations-redis-facts.ts'
import { nodeOptions, redisFixture } from './generations-redis-fixture.ts'
import { Follower } from './generations-redis-follower.ts'
import { makeAnswer } from './generations-redis-owner.ts'

let cluster: RedisCluster
let url = ''
beforeAll(async () => {
  cluster = await startCluster()
  url = cluster.nodes.map((node) => node.url).join(',')
}, 30_000)

generationsContract('a Redis cluster', (options) => redisFixture(url, options))

test('sessions of all slots are watched at once, also by a node that has only begun to connect', async () => {
  for (let round = 0; round < 10; round += 1) {
    await using generations = redisGenerations(nodeOptions(url))
    const watching = Array.from({ length: 100 }, () =>
      generations.watch(newSession().sessionId, () => undefined),
    )
    expect(await Promise.all(watching)).toHaveLength(100)
  }
}, 30_000)

describe('a cluster whose slots move', () => {
  test('answers go on, watched and without loss, while their shards go to another node', async () => {
    const fixture = await redisFixture(url)
    const { generations } = fixture
    const sessions = Array.from({ length: 24 }, () => newSession())
    const followers = sessions.map(({ sessionId }) => new Follower(generations, sessionId))
    await Promise.all(followers.map((follower) => follower.start()))
    const making = sessions.map((session) =>
      makeAnswer(generations, { session, chunks: 120, pauseMs: 10 }),
    )
    const slots = shardBases('').map((base) => slotOf(base.slice(1, -2)))
    for (const slot of slots.filter((each) => each < 3_000)) {
      await cluster.move({ from: slot, to: slot }, 0, 1)
    }
    const made = await Promise.all(making)
    for (const [index, { begin, texts, outcome }] of made.entries()) {
      expect(outcome).toBe('completed')
      const { messageId, session } = begin
      const follower = followers[index]
      await until(
        () => {
          follower?.look()
          return follower?.ended.has(messageId)
        },
        { everyMs: 50 },
      )
      expect(follower?.shown.get(messageId)?.join('')).toBe(texts.join(''))
      expect(follower?.faults).toEqual([])
      const answers = new Map([[messageId, { texts, outcome: 'completed' }]])
      expect(faultsOverEpochs(await eventsOf(fixture, session.sessionId), answers)).toEqual([])
      follower?.[Symbol.dispose]()
    }
  }, 60_000)
})
