import { beforeAll, expect, test } from 'bun:test'
import { faultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { newSession } from './generations-kit.ts'
import { redisNodes } from './generations-redis-node.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})

const patience = { timeoutMs: 10_000, everyMs: 20 }

/** A node that asks, and one whose way to Redis is the proxy's. */
async function twoNodes() {
  const { node, generations: asking } = await redisNodes(redis, { timeoutMs: 1_500 })
  const proxy = await faultProxy(redis.port)
  const away = node({ url: `redis://127.0.0.1:${proxy.port}` })
  const { sessionId } = newSession()
  const isAttended = async (isSo: boolean) => {
    const what = isSo ? 'somebody is seen' : 'nobody is seen'
    await until(async () => (await asking.isAttended(sessionId)) === isSo, { ...patience, what })
  }
  return { asking, away, proxy, sessionId, isAttended }
}

test('whoever watches on one node is seen by the other, until they leave', async () => {
  const { away, sessionId, isAttended } = await twoNodes()
  await isAttended(false)
  const watch = away.attend(sessionId)
  await isAttended(true)
  watch.close()
  await isAttended(false)
})

test('who leaves before Redis knows of them is not counted for good', async () => {
  const { away, asking, sessionId, isAttended } = await twoNodes()
  for (let turn = 0; turn < 20; turn += 1) {
    away.attend(sessionId).close()
    if (turn % 3 === 0) await Bun.sleep(1)
  }
  const last = away.attend(sessionId)
  await isAttended(true)
  last.close()
  await isAttended(false)
  await Bun.sleep(50)
  expect(await asking.isAttended(sessionId)).toBe(false)
})

test('a node that is cut off is not counted, and is again once it is back', async () => {
  const { away, proxy, sessionId, isAttended } = await twoNodes()
  const watch = away.attend(sessionId)
  await isAttended(true)
  proxy.refuse()
  await isAttended(false)
  const late = away.attend(newSession().sessionId)
  proxy.accept()
  await isAttended(true)
  watch.close()
  late.close()
  await isAttended(false)
})

test('whoever came while Redis was away is seen once it is there', async () => {
  const { away, proxy, sessionId, isAttended } = await twoNodes()
  await away.isAttended(sessionId)
  proxy.refuse()
  const watch = away.attend(sessionId)
  await Bun.sleep(2_000)
  proxy.accept()
  await isAttended(true)
  watch.close()
  await isAttended(false)
})

test('while Redis is away nobody can say who watches', async () => {
  const { away, proxy, sessionId } = await twoNodes()
  await away.isAttended(sessionId)
  proxy.refuse()
  await until(async () => (await away.health()).state === 'down', patience)
  await expect(away.isAttended(sessionId)).rejects.toThrow()
  proxy.accept()
  await until(async () => (await away.health()).state === 'up', patience)
  expect(await away.isAttended(sessionId)).toBe(false)
})

test('what is left while Redis is away stays left once it is back', async () => {
  const { node, client, options } = await redisNodes(redis, { timeoutMs: 1_500 })
  const proxy = await faultProxy(redis.port)
  const away = node({ url: `redis://127.0.0.1:${proxy.port}` })
  const [left, kept] = [newSession().sessionId, newSession().sessionId]
  const channels = async () => {
    const all = await client.sendCommand(['PUBSUB', 'SHARDCHANNELS', `${options.prefix}*`])
    return (all as unknown as string[]).filter((each) => /:[cdv]:/.test(each)).length
  }
  const has = (count: number) =>
    until(async () => (await channels()) === count, { ...patience, what: `${count} channels` })
  const ofLeft = [away.attend(left), await away.watch(left, () => undefined)]
  const ofKept = [away.attend(kept), await away.watch(kept, () => undefined)]
  await has(6)
  proxy.refuse()
  await has(0)
  for (const watch of ofLeft) watch.close()
  proxy.accept()
  await has(3)
  await Bun.sleep(100)
  expect(await channels()).toBe(3)
  for (const watch of ofKept) watch.close()
  await has(0)
})
