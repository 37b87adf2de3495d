import { beforeAll, describe, expect, test } from 'bun:test'
import { type Stack, startStack } from '../support/stack.ts'
import { haveEnded, haveText, startChats } from '../support/stack-chats.ts'
import { expectFacts } from '../support/stack-facts.ts'
import { until } from '../support/until.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack()
}, 120_000)

const asking = (name: string, count: number, seconds: number) =>
  startChats(stack.url, name, { count, question: `/long ${seconds * 30}` })

const outcomesOf = (chats: { outcome: string | undefined }[]) =>
  [...new Set(chats.map(({ outcome }) => outcome))].sort()

const healthOf = async () => (await fetch(`${stack.url}/health`)).json() as Promise<unknown>

describe('chats go on', () => {
  test('while Kafka is away for half a minute, and all of it arrives afterwards', async () => {
    const before = asking('kafka', 10, 6)
    await haveText(before)
    await stack.broker.kill()
    const fromMs = performance.now()
    await haveEnded(before)
    const meanwhile = asking('kafka-away', 10, 6)
    await haveEnded(meanwhile)
    await Bun.sleep(Math.max(0, 30_000 - (performance.now() - fromMs)))
    expect(await healthOf()).toMatchObject({ status: 'degraded' })
    await stack.broker.start()
    const chats = [...before, ...meanwhile]
    expect(outcomesOf(chats)).toEqual(['completed'])
    await expectFacts(stack, chats)
  }, 240_000)

  test('while Postgres is away for half a minute, and its rows are there afterwards', async () => {
    const before = asking('postgres', 10, 6)
    await haveText(before)
    await stack.postgres.stop()
    const fromMs = performance.now()
    await haveEnded(before)
    await Bun.sleep(Math.max(0, 30_000 - (performance.now() - fromMs)))
    expect(await healthOf()).toMatchObject({ status: 'degraded' })
    await stack.postgres.start()
    expect(outcomesOf(before)).toEqual(['completed'])
    await expectFacts(stack, before)
  }, 240_000)
})

describe('Redis', () => {
  test('that is stopped and started again: owners go on where they were', async () => {
    const chats = asking('redis-stop', 12, 8)
    await haveText(chats)
    await stack.redis.stop()
    await Bun.sleep(1_000)
    await stack.redis.start()
    await haveEnded(chats)
    expect(outcomesOf(chats)).toEqual(['completed'])
    await expectFacts(stack, chats, { isLossy: true })
  }, 180_000)

  test('that is killed: the living owners write again what it has lost', async () => {
    const chats = asking('redis-kill', 12, 8)
    await haveText(chats)
    await stack.redis.kill()
    await Bun.sleep(1_000)
    await stack.redis.start()
    await haveEnded(chats)
    expect(outcomesOf(chats)).toEqual(['completed'])
    await expectFacts(stack, chats, { isLossy: true })
  }, 180_000)
})

test('a record that nobody can read, in the middle of all this, is parked; all others are rows', async () => {
  const chats = asking('poison', 6, 2)
  await haveText(chats)
  const key = new TextEncoder().encode('poison-0')
  const value = new TextEncoder().encode('no JSON')
  await stack.eventLog.produce([
    { topic: 'stream-events', key, value, headers: [], timestamp: Date.now() },
    { topic: 'chat-events', key, value, headers: [], timestamp: Date.now() },
  ])
  await haveEnded(chats)
  await expectFacts(stack, chats)
  const parked = async (topic: string) =>
    ((await stack.eventLog.kept(topic)) ?? []).reduce((sum, { from, to }) => sum + to - from, 0)
  await until(
    async () =>
      (await parked('stream-events.audit-trail-consumer.dlq')) === 1 &&
      (await parked('chat-events.history-consumer.dlq')) === 1,
    { timeoutMs: 30_000, everyMs: 200, what: 'both are parked' },
  )
}, 120_000)
