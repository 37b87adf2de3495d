import { beforeAll, beforeEach, expect, test } from 'bun:test'
import { migratedUrl, startGateway } from '../support/gateway-process.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

let redis: RedisServer
let databaseUrl = ''
let sessionId = ''
beforeAll(async () => {
  redis = await startRedis()
  databaseUrl = await migratedUrl()
}, 60_000)
beforeEach(() => {
  sessionId = `s-${crypto.randomUUID()}`
})

async function twoNodes(env: Record<string, string> = {}) {
  const servers = { redisUrl: redis.url, databaseUrl }
  const one = startGateway(servers, { NODE_ID: 'one', ...env })
  const two = startGateway(servers, { NODE_ID: 'two', ...env })
  const isUp = (told: { status: number }) => told.status === 200
  await Promise.all([one.healthy(isUp), two.healthy(isUp)])
  return { one, two }
}

test('limits are those of a user, whichever node is asked, and a node that dies holds none for good', async () => {
  const { one, two } = await twoNodes({ MAX_CONNECTIONS_PER_USER: '2', RATE_CHATS_PER_MINUTE: '2' })
  const first = new WsClient(await one.url(), { sessionId })
  const second = new WsClient(await two.url(), { sessionId })
  await Promise.all([first.live(), second.live()])
  for (const node of [one, two]) {
    const third = new WsClient(await node.url(), { sessionId })
    expect(await third.close()).toBe(4029)
  }
  first.cut()
  await until(
    async () => {
      const next = new WsClient(await two.url(), { sessionId })
      await until(() => next.closed !== null || next.all('live').length > 0)
      return next.closed === null
    },
    { timeoutMs: 10_000, everyMs: 100 },
  )
  const ask = (node: typeof one) =>
    node.call('POST', '/api/chat', { message: '/fast hello', userId: 'ann' })
  expect((await ask(one)).status).toBe(202)
  expect((await ask(two)).status).toBe(202)
  expect((await ask(one)).status).toBe(429)
  expect((await ask(two)).body.error.code).toBe('rate_limited')
}, 120_000)

test('a request is accepted once, whichever nodes it reaches', async () => {
  const { one, two } = await twoNodes()
  const ask = (node: typeof one, message = '/fast hello') =>
    node.call('POST', '/api/chat', { sessionId, message }, { 'idempotency-key': 'k1' })
  const all = await Promise.all([ask(one), ask(two), ask(one), ask(two)])
  expect(all.map(({ status }) => status)).toEqual([202, 202, 202, 202])
  expect(new Set(all.map(({ body }) => body.messageId)).size).toBe(1)
  expect(all.filter(({ body }) => !body.duplicate)).toHaveLength(1)
  expect((await ask(two, 'other')).body.error.code).toBe('idempotency_conflict')
}, 120_000)

test('an answer is cancelled from the other node, with one outcome for all', async () => {
  const { one, two } = await twoNodes()
  const viewer = new WsClient(await two.url(), { sessionId })
  await viewer.live()
  const owner = new WsClient(await one.url(), { sessionId })
  await owner.live()
  const { messageId } = await owner.ask('/long 2000')
  await viewer.frame('chunk')
  const cancelled = await two.call('POST', '/api/cancel', { messageId })
  expect(cancelled.body).toEqual({ messageId, outcome: 'cancelled' })
  const [seen, own] = await Promise.all([viewer.frame('done'), owner.frame('done')])
  expect(seen).toMatchObject({ outcome: 'cancelled', sha256: own.sha256, seq: own.seq })
  expect((await one.call('POST', '/api/cancel', { messageId })).body.outcome).toBe('cancelled')
}, 120_000)

test('a session is its first user’s on every node', async () => {
  const { one, two } = await twoNodes()
  const body = { sessionId, message: '/fast hello' }
  expect((await one.call('POST', '/api/chat', { ...body, userId: 'ann' })).status).toBe(202)
  const other = await two.call('POST', '/api/chat', { ...body, userId: 'bob' })
  expect(other.body.error.code).toBe('forbidden')
  const socket = new WsClient(await two.url(), { sessionId, query: { userId: 'bob' } })
  expect(await socket.close()).toBe(4503)
}, 120_000)

test('a node that drains makes its answers to the end, watched from the other node', async () => {
  const { one, two } = await twoNodes()
  const client = new WsClient(await one.url(), { sessionId })
  await client.live()
  const { messageId } = await client.ask('/long 150')
  const chunk = await client.frame('chunk')
  const ended = one.kill('SIGTERM')
  await one.healthy(({ status, body }) => status === 503 && body.status === 'unready')
  const refused = await one.call('POST', '/api/chat', { message: 'no' })
  expect(refused.body.error.code).toBe('unavailable')
  expect(await client.close()).toBe(1012)
  const { cursor } = await client.live()
  const epoch = cursor.split('-')[0]
  const back = new WsClient(await two.url(), { sessionId, cursor: `${epoch}-${chunk.seq}` })
  expect((await back.frame('welcome')).start).toBe('resumed')
  await until(() => back.all('done').length > 0, { timeoutMs: 30_000 })
  expect(back.all('done')[0]).toMatchObject({ messageId, outcome: 'completed' })
  expect((await ended).code).toBe(0)
}, 120_000)

test('what a drain cannot wait for ends as interrupted, once, for all', async () => {
  const { one, two } = await twoNodes({ DRAIN_TIMEOUT_MS: '500' })
  const client = new WsClient(await one.url(), { sessionId })
  await client.live()
  const { messageId } = await client.ask('/long 3000')
  const viewer = new WsClient(await two.url(), { sessionId })
  await viewer.frame('chunk')
  const { code, err } = await one.kill('SIGTERM')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  await until(() => viewer.all('done').length > 0, { timeoutMs: 10_000 })
  expect(viewer.all('done')[0]).toMatchObject({
    messageId,
    outcome: 'interrupted',
    error: { code: 'unavailable', errorType: 'shutdown' },
  })
  const told = await two.call('GET', `/api/messages/${messageId}`)
  expect(told.body).toMatchObject({ status: 'finished', outcome: 'interrupted' })
}, 120_000)

test('the answers of a killed node end as interrupted within 15 s, with all text that was shown', async () => {
  const { one, two } = await twoNodes()
  // Who claims what is left must itself have been connected for as long as a lease.
  await Bun.sleep(10_500)
  const client = new WsClient(await one.url(), { sessionId })
  await client.live()
  const { messageId } = await client.ask('/long 3000')
  const viewer = new WsClient(await two.url(), { sessionId })
  await viewer.frame('chunk', 3)
  const killedMs = performance.now()
  await one.kill('SIGKILL')
  await until(() => viewer.all('done').length > 0, { timeoutMs: 20_000 })
  expect(performance.now() - killedMs).toBeLessThan(16_000)
  const done = viewer.all('done')[0]
  expect(done).toMatchObject({
    messageId,
    outcome: 'interrupted',
    error: { code: 'unavailable', errorType: 'owner_lost' },
  })
  const text = viewer
    .all('chunk')
    .map((chunk) => chunk.text)
    .join('')
  expect(done?.length).toBe(text.length)
  const next = await two.call('POST', '/api/chat', { sessionId, message: '/fast more' })
  expect(next.status).toBe(202)
}, 120_000)
