import { beforeAll, describe, expect, test } from 'bun:test'
import { faultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, redisClient, startRedis } from '../support/redis.ts'
import { startCluster } from '../support/redis-cluster.ts'
import { until } from '../support/until.ts'
import { ann, refused, who } from './limits.ts'
import { limitsNode, limitsOverNodes, pair } from './limits-redis-nodes.ts'

let server: RedisServer
let second: RedisServer
let cluster = ''
beforeAll(async () => {
  server = await startRedis()
  second = await startRedis()
  const { nodes } = await startCluster()
  cluster = nodes.map(({ url }) => url).join(',')
}, 60_000)

describe('limits in one Redis', () => limitsOverNodes(() => server.url))
describe('limits in a list of them', () => limitsOverNodes(() => `${server.url},${second.url}`))
describe('limits in a cluster', () => limitsOverNodes(() => cluster))

describe('without Redis', () => {
  test('each node holds to what it knows itself', async () => {
    const proxy = await faultProxy(server.port)
    const through = `redis://127.0.0.1:${proxy.port}`
    const limited = { chatsPerMinute: 3, connectionsPerUser: 2, generationsPerUser: 1 }
    const [one, two] = pair(through, limited)
    const held = await one.limits.connect(ann)
    await one.limits.chat(ann)
    proxy.refuse()
    await one.limits.connect(ann)
    await refused(one.limits.connect(ann))
    await one.limits.chat(ann)
    await one.limits.chat(ann)
    await refused(one.limits.chat(ann))
    await two.limits.connect(ann)
    await two.limits.generate(ann)
    await refused(two.limits.generate(ann))
    held.release()
    await one.limits.connect(ann)
    await refused(one.limits.connect(ann))
  })

  test('a node that has never seen it lets users in', async () => {
    const { limits } = limitsNode('redis://127.0.0.1:1', { connectionsPerUser: 1 })
    await limits.connect(ann)
    await refused(limits.connect(ann))
    await limits.connect(who('bob'))
  })

  test('when it comes back, what was taken meanwhile counts for all', async () => {
    const own = await startRedis()
    const [one, two] = pair(own.url, { connectionsPerUser: 1 }, 900)
    await two.limits.connect(who('bob'))
    await own.kill()
    await one.limits.connect(ann)
    await own.start()
    await until(
      async () => {
        const slot = await two.limits.connect(ann).catch(() => null)
        slot?.release()
        return slot === null
      },
      { timeoutMs: 15_000, everyMs: 100 },
    )
  })

  test('one that hangs holds nobody up for long', async () => {
    const proxy = await faultProxy(server.port)
    const { limits } = limitsNode(
      `redis://127.0.0.1:${proxy.port}`,
      { connectionsPerUser: 1 },
      { timeoutMs: 300 },
    )
    await limits.connect(who('bob'))
    proxy.stall()
    await limits.connect(ann)
    await refused(limits.connect(ann))
  })
})

test('without a limit nothing is asked of Redis', async () => {
  const { limits } = limitsNode(second.url, { chatsPerMinute: 60 })
  await limits.chat(ann)
  const before = await scriptCalls()
  for (let call = 0; call < 100; call += 1) {
    await limits.request(ann)
    ;(await limits.connect(ann)).release()
    ;(await limits.generate(ann)).release()
  }
  await Bun.sleep(50)
  expect(await scriptCalls()).toBe(before)
})

test('calls of one turn are one call of Redis', async () => {
  const { limits } = limitsNode(second.url, { connectionsPerUser: 5 })
  await limits.connect(ann)
  const before = await scriptCalls()
  await Promise.all(Array.from({ length: 100 }, (_, user) => limits.connect(who(`v${user}`))))
  expect((await scriptCalls()) - before).toBe(1)
})

test('users who are gone leave nothing in Redis', async () => {
  const client = await redisClient(server.url)
  const { limits } = limitsNode(
    server.url,
    { connectionsPerUser: 5, requestsPerMinute: 60_000 },
    { prefix: 'gone:' },
  )
  const slots = await Promise.all([limits.connect(ann), limits.connect(ann), limits.connect(ann)])
  await limits.request(ann)
  for (const slot of slots) slot.release()
  await until(async () => (await client.keys('gone:*')).length === 0, { timeoutMs: 5_000 })
})

async function scriptCalls(): Promise<number> {
  const client = await redisClient(second.url)
  const stats = await client.info('commandstats')
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0)
}
