import { beforeAll, describe, expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { historyConsumer } from '#consumers/history/handle.ts'
import { timeOfUuid } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import type { Parts } from '../contract/consumers-bench.ts'
import { type Fields, recordFor, Teller } from '../contract/consumers-events.ts'
import { postgresParts } from '../contract/consumers-parts.ts'
import { Running } from '../contract/consumers-running.ts'

let parts: Parts
beforeAll(async () => {
  parts = await postgresParts()
})

const run = () => new Running(parts, [historyConsumer()])
let sessions = 0
const newTeller = () => {
  sessions += 1
  return new Teller(`session-${sessions}`)
}

const messagesOf = (sessionId: string) =>
  parts.database.db.execute<Record<string, unknown>>(sql`
    select * from messages where session_id = ${sessionId} order by epoch, seq, role desc`)
const sessionOf = async (sessionId: string) =>
  (
    await parts.database.db.execute<Record<string, unknown>>(
      sql`select * from sessions where session_id = ${sessionId}`,
    )
  )[0]
const texts = async (sessionId: string) =>
  (await messagesOf(sessionId)).map((row) => row['content'])

describe('history', () => {
  test('has every message as it was told, in the order of its steps, and its session', async () => {
    const teller = newTeller()
    const { userMessageId, messageId } = teller.chat({ metadata: { from: 'web' } })
    teller.chat({ question: 'And then?', answer: [], outcome: 'failed' })
    await run().handle(teller.records())
    const rows = await messagesOf(teller.sessionId)
    expect(rows.map((row) => [row['role'], row['content'], row['outcome']])).toEqual([
      ['user', 'Why?', 'completed'],
      ['assistant', 'Because', 'completed'],
      ['user', 'And then?', 'completed'],
      ['assistant', '', 'failed'],
    ])
    const [question, answer] = rows
    expect(question).toMatchObject({
      message_id: userMessageId,
      metadata: { from: 'web' },
      epoch: 1_000,
      seq: 1,
      parent_message_id: null,
      finished_at: null,
    })
    expect(answer).toMatchObject({
      message_id: messageId,
      parent_message_id: userMessageId,
      model: 'demo',
      chunks: 2,
      length: 7,
      sha256: 'c55322505ed1c11c7b9c31fa48daf4df5057474a1e15535f603d8920df481a8b',
      finish_reason: 'stop',
    })
    const createdAt = new Date(String(answer?.['created_at'])).toISOString()
    expect(createdAt).toBe(iso(timeOfUuid(messageId)))
    const session = await sessionOf(teller.sessionId)
    expect(session).toMatchObject({
      tenant_id: 'default',
      user_id: 'ada',
      last_epoch: 1_000,
      last_seq: 6,
    })
  })

  test('is the same when everything comes a second time', async () => {
    const teller = newTeller()
    teller.chat()
    const running = run()
    await running.handle(teller.records())
    const before = await messagesOf(teller.sessionId)
    await running.handle(teller.records())
    expect(await messagesOf(teller.sessionId)).toEqual(before)
  })

  test.each(['in one batch', 'one by one'])(
    'of two ends of one message the highest step stands, %s',
    async (how) => {
      for (const isReversed of [false, true]) {
        const teller = newTeller()
        const { messageId } = teller.chat()
        const end = teller.events.at(-1) as Fields
        const told = teller.events.length
        teller.epoch += 1
        teller.seq = 1
        teller.step('CHAT_MESSAGE', { ...own(end), status: 'interrupted', content: 'Be' })
        const events = isReversed ? teller.events.toReversed() : teller.events
        const running = run()
        if (how === 'in one batch') await running.handle(events.map(recordFor))
        else for (const event of events) await running.handle([recordFor(event)])
        const rows = await messagesOf(teller.sessionId)
        const answer = rows.find((row) => row['message_id'] === messageId)
        expect(answer).toMatchObject({
          outcome: 'interrupted',
          content: 'Be',
          epoch: 1_001,
          seq: 1,
        })
        expect(rows).toHaveLength(2)
        expect(told).toBe(6)
      }
    },
  )

  test('erasure takes the texts up to its step, keeps the rows, and later messages', async () => {
    const teller = newTeller()
    teller.chat({ metadata: { secret: 'yes' } })
    teller.erase()
    teller.chat({ question: 'Again?', answer: ['New'] })
    await run().handle(teller.records())
    expect(await texts(teller.sessionId)).toEqual([null, null, 'Again?', 'New'])
    const [first] = await messagesOf(teller.sessionId)
    expect(first).toMatchObject({ metadata: null, parts: null })
    expect(first?.['erased_at']).not.toBeNull()
    expect(await sessionOf(teller.sessionId)).toMatchObject({ erased_epoch: 1_000, erased_seq: 5 })
  })

  test('nothing written comes back with a late duplicate, nor when the erasure comes first', async () => {
    const late = newTeller()
    late.chat()
    late.erase()
    const running = run()
    await running.handle(late.records())
    await running.handle(late.records())
    expect(await texts(late.sessionId)).toEqual([null, null])

    const early = newTeller()
    early.chat()
    const erasure = early.erase()
    await running.handle([recordFor(erasure)])
    for (const event of early.events) await running.handle([recordFor(event)])
    expect(await texts(early.sessionId)).toEqual([null, null])
    expect(await sessionOf(early.sessionId)).toMatchObject({ erased_seq: 5, user_id: 'ada' })
  })

  test('an older erasure takes no younger one back', async () => {
    const teller = newTeller()
    teller.chat()
    const first = teller.erase()
    teller.chat()
    const second = teller.erase()
    const running = run()
    await running.handle([recordFor(second)])
    await running.handle([recordFor(first)])
    await running.handle(teller.records())
    expect(await texts(teller.sessionId)).toEqual([null, null, null, null])
    expect(await sessionOf(teller.sessionId)).toMatchObject({ erased_seq: second['seq'] })
  })

  test('holds no text when events hold none', async () => {
    const teller = newTeller()
    teller.chat()
    for (const event of teller.events) delete event['content']
    await run().handle(teller.records())
    const rows = await messagesOf(teller.sessionId)
    expect(rows.map((row) => [row['content'], row['sha256']])).toEqual([
      [null, null],
      [null, null],
    ])
    expect(rows.map((row) => row['length'])).toEqual([4, 7])
  })

  test('a session of one user takes no message that another tells of it', async () => {
    const mine = newTeller()
    mine.chat()
    const other = new Teller(mine.sessionId, { userId: 'eve', tenantId: 'evil' })
    other.chat({ question: 'Mine now?' })
    other.erase()
    const running = run()
    await running.handle(mine.records())
    await running.handle(other.records())
    expect(await sessionOf(mine.sessionId)).toMatchObject({ user_id: 'ada', erased_epoch: null })
    const own = (await messagesOf(mine.sessionId)).filter((row) => row['user_id'] === 'ada')
    expect(own.map((row) => row['content'])).toEqual(['Why?', 'Because'])
  })
})

/** The event's own fields, without what makes it that event. */
function own({
  eventId: _id,
  epoch: _epoch,
  seq: _seq,
  timestamp: _time,
  eventType: _type,
  ...rest
}: Fields) {
  return rest
}
