import { beforeAll, describe, expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { auditConsumer } from '#consumers/audit/handle.ts'
import { topics } from '#events/topics.ts'
import { timeOfUuid } from '#runtime/ids.ts'
import { type Log, quietLog } from '#runtime/log.ts'
import { iso } from '#runtime/time.ts'
import type { Parts } from '../contract/consumers-bench.ts'
import { recordFor, Teller, textRecord } from '../contract/consumers-events.ts'
import { postgresParts } from '../contract/consumers-parts.ts'
import { Running } from '../contract/consumers-running.ts'

let parts: Parts
beforeAll(async () => {
  parts = await postgresParts()
})

const run = (log: Log = quietLog) => new Running(parts, [auditConsumer({ log })])
const rowsOf = (sessionId: string) =>
  parts.database.db.execute<Record<string, unknown>>(sql`
    select * from audit_logs where session_id = ${sessionId} order by "timestamp", event_id`)

describe('the audit', () => {
  test('has one row of every event but chunks, with its place and without its text', async () => {
    const teller = new Teller('a1')
    const { messageId } = teller.chat({ answer: ['Be', 'cause'] })
    teller.tell('RECOVERY_ATTEMPT', {
      ...{ cursor: '1000-2', result: 'resumed', success: true, missed: 3, transport: 'ws' },
    })
    await run().handle(teller.records())
    const rows = await rowsOf('a1')
    const told = teller.events.filter(({ eventType }) => eventType !== 'CHUNK_RECEIVED')
    expect(rows.map((row) => row['event_id'])).toEqual(told.map(({ eventId }) => eventId))
    for (const [at, event] of told.entries()) {
      const row = rows[at] ?? {}
      expect(row).toMatchObject({
        event_type: event.eventType,
        ...{ tenant_id: 'default', user_id: 'ada', conversation_id: 'a1' },
        message_id: event['messageId'] ?? null,
        epoch: event['epoch'] ?? null,
        seq: event['seq'] ?? null,
        source: event.eventType === 'CHAT_MESSAGE' ? topics.chat : topics.stream,
      })
      expect(new Date(String(row['timestamp'])).toISOString()).toBe(iso(timeOfUuid(event.eventId)))
      const { content: _content, ...data } = event
      expect(row['event_data']).toEqual(data)
    }
    const [question, answer] = rows.filter((row) => row['source'] === topics.chat)
    expect([question?.['topic_offset'], answer?.['topic_offset']]).toEqual([0, 1])
    expect(rows.filter((row) => row['message_id'] === messageId)).toHaveLength(3)
  })

  test('keeps the place of the first delivery when an event comes again', async () => {
    const teller = new Teller('a2')
    teller.chat()
    const running = run()
    await running.handle(teller.records())
    const before = await rowsOf('a2')
    await running.handle(teller.records())
    expect(await rowsOf('a2')).toEqual(before)
  })

  test('keeps events of types that it does not know', async () => {
    const event = new Teller('a3').tell('NOVELTY', {
      messageId: 7,
      epoch: 'x',
      text: 'hidden',
      n: 1,
    })
    await run().handle([textRecord(topics.stream, 'a3', JSON.stringify(event))])
    const [row] = await rowsOf('a3')
    expect(row).toMatchObject({ event_type: 'NOVELTY', message_id: null, epoch: null })
    const { text: _text, ...data } = event
    expect(row?.['event_data']).toEqual(data)
  })

  test('keeps whatever JSON a foreign producer wrote, but texts and what Postgres cannot hold', async () => {
    const envelope = JSON.stringify(new Teller('a8').tell('NOVELTY')).slice(0, -1)
    const written: [string, Record<string, unknown>][] = [
      ['\n,\t"a" : [ 1, 2.50, -0.5e3 ]\r\n', { a: [1, 2.5, -500] }],
      [
        ',"a":"tab\\t, \\"quote\\", back\\\\slash, é 💡"',
        { a: 'tab\t, "quote", back\\slash, é 💡' },
      ],
      [',"a":{"text":"of no message","content":1}', { a: { text: 'of no message', content: 1 } }],
      [',"content":"hidden","content":null,"parts":[],"a":1', { a: 1 }],
      [',"a":"\\u0000","a":"\\u0041"', { a: 'A' }],
      [',"a":1e99999,"b":1E-5', { a: null, b: 0.00001 }],
      [`,"a":1e-99999,"b":0.${'1'.repeat(9_000)}e-999`, { a: 0, b: 0 }],
      [`,"a":0.${'1'.repeat(20_000)},"b":${'1'.repeat(200_000)}`, { a: 1 / 9, b: null }],
    ]
    const ids = written.map(() => crypto.randomUUID())
    const values = written.map(([members], at) =>
      `${envelope}${members}}`.replace(/"eventId":"[^"]+"/, `"eventId":"${ids[at]}"`),
    )
    await run().handle(values.map((value) => textRecord(topics.stream, 'a8', value)))
    const rows = await rowsOf('a8')
    const known = JSON.parse(`${envelope}}`) as Record<string, unknown>
    for (const [at, [, members]] of written.entries()) {
      const row = rows.find((one) => one['event_id'] === ids[at])
      expect(row?.['event_data']).toEqual({ ...known, eventId: ids[at], ...members })
    }
  })

  test('takes the time of an event whose id holds none from the event', async () => {
    const event = new Teller('a4').tell('CLIENT_CONNECTED', { transport: 'ws', connectionId: 'c' })
    const foreign = { ...event, eventId: crypto.randomUUID() }
    await run().handle([recordFor(foreign), recordFor(foreign)])
    const rows = await rowsOf('a4')
    expect(rows).toHaveLength(1)
    expect(new Date(String(rows[0]?.['timestamp'])).toISOString()).toBe(String(event['timestamp']))
  })

  test('says loudly that steps are missing in the log', async () => {
    const teller = new Teller('a5')
    teller.chat()
    teller.chat()
    teller.chat()
    const lost = teller.events.findLastIndex(
      ({ eventType, seq }) => eventType === 'CHUNK_RECEIVED' && Number(seq) < 8,
    )
    teller.events.splice(lost, 1)
    const said: unknown[] = []
    const log = {
      ...quietLog,
      error: (msg: string, fields?: unknown) => void said.push([msg, fields]),
    }
    await run(log).handle(teller.records())
    expect(said).toEqual([
      ['events are missing in the log', { sessionId: 'a5', epoch: 1_000, fromSeq: 6, toSeq: 7 }],
    ])
  })

  test('events of long ago and far ahead find a partition, or wait for one', async () => {
    const old = new Teller('a6', { atMs: Date.now() - 20 * 86_400_000 })
    old.chat()
    const ahead = new Teller('a7', { atMs: Date.now() + 20 * 86_400_000 })
    ahead.chat()
    await run().handle([...old.records(), ...ahead.records()])
    expect(await rowsOf('a6')).toHaveLength(5)
    expect(await rowsOf('a7')).toHaveLength(5)
  })
})
