import { beforeAll, describe, expect, test } from 'bun:test'
import { recordsOf } from '../support/log-contents.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { haveEnded, haveText, outcomesOf, startChats } from '../support/stack-chats.ts'
import { expectFacts } from '../support/stack-facts.ts'
import { until } from '../support/until.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack()
}, 120_000)

const asking = (name: string, count: number, seconds: number) =>
  startChats(stack.url, name, { count, seconds })

const text = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? undefined)

const healthOf = async () => (await fetch(`${stack.url}/health`)).json() as Promise<unknown>

describe('chats go on', () => {
  test('while Kafka is away for half a minute, and all of it arrives afterwards', async () => {
    const before = asking('kafka', 10, 6)
    await haveText(before)
    await stack.broker.kill()
    const fromMs = performance.now()
    await haveEnded(before)
    // Those who need Kafka begin while it is away, and wait for it.
    const [audit] = stack.consumers
    if (audit === undefined) throw new Error('no consumer')
    await Promise.all([stack.relay, audit].map(({ process }) => process.kill('SIGKILL')))
    const back = [stack.relay, audit].map((member) => member.start())
    const meanwhile = asking('kafka-away', 10, 6)
    await haveEnded(meanwhile)
    await Bun.sleep(Math.max(0, 30_000 - (performance.now() - fromMs)))
    expect(await healthOf()).toMatchObject({ status: 'degraded' })
    await stack.broker.start()
    await Promise.all(back)
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
  test.each([
    ['stopped and started again: owners go on where they were', 'stop'],
    ['killed: the living owners write again what it has lost', 'kill'],
  ] as const)(
    'that is %s',
    async (_, end) => {
      const chats = asking(`redis-${end}`, 12, 8)
      await haveText(chats)
      await stack.redis[end]()
      await Bun.sleep(1_000)
      await stack.redis.start()
      await haveEnded(chats)
      expect(outcomesOf(chats)).toEqual(['completed'])
      await expectFacts(stack, chats, { isLossy: true })
    },
    180_000,
  )
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
  const topics = ['audit-trail', 'history', 'analytics'].flatMap((name) =>
    // History reads no streams.
    (name === 'history' ? ['chat'] : ['stream', 'chat']).map(
      (topic) => `${topic}-events.${name}-consumer.dlq`,
    ),
  )
  for (const topic of topics) {
    const parked = await until(
      async () => {
        const records = await recordsOf(stack.eventLog, topic)
        return records.length > 0 ? records : null
      },
      { timeoutMs: 30_000, everyMs: 200, what: `it is in ${topic}` },
    )
    expect(parked?.map((record) => [text(record.key), text(record.value)])).toEqual([
      ['poison-0', 'no JSON'],
    ])
  }
}, 120_000)
