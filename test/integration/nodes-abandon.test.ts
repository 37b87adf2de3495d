import { beforeAll, expect, test } from 'bun:test'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { said } from '../support/said.ts'
import { SseClient } from '../support/sse-client.ts'
import { ask, type Nodes, twoNodes } from '../support/two-nodes.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

let redis: RedisServer

beforeAll(async () => {
  redis = await startRedis()
})

/** Longer than an owner needs to see who watches on the other node. */
const lookedMs = 2_500

const nodes = (env: Record<string, string> = {}) =>
  twoNodes(redis.url, { env: { ON_ABANDON: 'cancel', ...env } })

async function viewer(url: string): Promise<WsClient> {
  const client = new WsClient(url, { sessionId: 's' })
  await client.live()
  return client
}

async function isAbandoned(it: Nodes, messageId: string): Promise<void> {
  const outcome = async () => (await it.generations.find(messageId))?.outcome
  await until(outcome, { timeoutMs: 10_000, what: 'the answer is abandoned' })
  expect(await outcome()).toBe('cancelled')
  const events = await it.log.events()
  expect(events.find(({ eventType }) => eventType === 'STREAM_CANCELLED')).toMatchObject({
    messageId,
    reason: 'abandoned',
  })
}

async function goesOn(it: Nodes, messageId: string): Promise<void> {
  await Bun.sleep(lookedMs)
  expect((await it.generations.find(messageId))?.outcome).toBeUndefined()
}

test('an answer goes on while somebody watches on the other node, and is abandoned with the last', async () => {
  await using it = nodes()
  const [here, there] = [await viewer(it.one), await viewer(it.two)]
  const call = await ask(it, 's')
  const { messageId } = call.request
  await said(it, call, 'words')
  here.cut()
  await goesOn(it, messageId)
  there.cut()
  await isAbandoned(it, messageId)
  await until(() => call.signal.aborted)
})

test('an answer that was watched on the other node alone is abandoned there', async () => {
  await using it = nodes()
  const call = await ask(it, 's')
  const there = new SseClient(it.two, { sessionId: 's' })
  await there.live()
  await goesOn(it, call.request.messageId)
  there.cut()
  await isAbandoned(it, call.request.messageId)
})

test('an answer that nobody ever watched is not abandoned', async () => {
  await using it = nodes()
  const before = [await viewer(it.one), await viewer(it.two)]
  for (const client of before) client.cut()
  await until(async () => !(await it.generations.isAttended('s')))
  const call = await ask(it, 's')
  await goesOn(it, call.request.messageId)
})

test('within its grace a viewer may come back to the other node', async () => {
  await using it = nodes({ ON_ABANDON: 'grace', ABANDON_GRACE_MS: '1500' })
  const here = await viewer(it.one)
  const call = await ask(it, 's')
  here.cut()
  await Bun.sleep(100)
  const there = await viewer(it.two)
  await goesOn(it, call.request.messageId)
  there.cut()
  await isAbandoned(it, call.request.messageId)
})

test('a node that drains abandons nothing: it was the one to send the viewers away', async () => {
  await using it = nodes()
  const here = await viewer(it.one)
  const call = await ask(it, 's')
  const { messageId } = call.request
  await said(it, call, 'words ')
  const draining = it.nodes[0]?.drain()
  expect(await here.close()).toBe(1012)
  const there = await viewer(it.two)
  await goesOn(it, messageId)
  await said(it, call, 'to the end')
  call.end()
  await draining
  expect(await there.frame('done')).toMatchObject({ messageId, outcome: 'completed', chunks: 2 })
})
