import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { NewRecord } from '#eventlog/event-log.ts'
import { type FrameRecord, frameBytesOf, produceFrame } from '#eventlog/kafka/produce-frame.ts'
import { recordOf } from '#events/codec.ts'
import { EntryRecord } from '#gateway/generations/redis/entry-record.ts'
import { headOf } from '#gateway/generations/redis/outbox.ts'
import { readProduced } from '../support/produced-frame.ts'

const line = (maxLength: number) =>
  fc.string({ unit: 'grapheme', maxLength }).map((text) => text.replaceAll('\n', ' '))
const events = fc.array(
  fc.record({
    eventId: line(40),
    eventType: fc.oneof(fc.constantFrom('CHUNK_RECEIVED', 'CHAT_MESSAGE', 'CHAT'), line(20)),
    topic: fc.constantFrom('stream-events', 'chat-events', 'other-events.1'),
    key: line(80),
    timestamp: fc.oneof(fc.nat({ max: 100_000 }), fc.nat({ max: 2 ** 43 })),
    nodeId: fc.oneof(fc.constantFrom('node-1', 'node-2'), line(10)),
    json: line(300),
    traceparent: fc.option(line(60), { nil: undefined }),
  }),
  { maxLength: 12 },
)
type Told = Parameters<typeof headOf>[0]

function recordsOf(told: readonly Record<string, unknown>[], names: string) {
  return told.map((event) => {
    const one = event as unknown as Told
    const fields: Record<string, string> = { t: one.topic, k: one.key, h: headOf(one), v: one.json }
    return new EntryRecord(
      [...names].flatMap((name) => [Buffer.from(name), Buffer.from(fields[name] ?? '')]),
    )
  })
}

function expected(event: Record<string, unknown>) {
  const { traceparent, ...rest } = event as unknown as Told
  const isTraced = traceparent !== undefined && traceparent !== ''
  return recordOf({ ...rest, ...(isTraced && { traceparent }) })
}

function heard(records: readonly (NewRecord | FrameRecord)[]) {
  const bytes = records.reduce((sum, record) => sum + frameBytesOf(record), 0)
  const frame = produceFrame(7, records, bytes)
  expect(frame.length).toBeLessThanOrEqual(bytes + 14 + 3 * 20)
  return readProduced(frame)
}

test.each(['tkhv', 'vhkt'])('an entry of fields %s is the record of its event', (names) => {
  fc.assert(
    fc.property(events, (told) => {
      const plain = told.map(expected)
      const records = recordsOf(told, names)
      const seen = records.map(({ topic, key, value, headers, timestamp }) => ({
        ...{ topic, timestamp },
        ...{ key: [...key], value: [...value], headers: headers.map(([of, at]) => [of, [...at]]) },
      }))
      expect(seen).toEqual(
        plain.map(({ topic, key, value, headers, timestamp }) => ({
          ...{ topic, timestamp },
          ...{
            key: [...key],
            value: [...value],
            headers: headers.map(([of, at]) => [of, [...at]]),
          },
        })),
      )
      expect(heard(records)).toEqual(heard(plain))
    }),
  )
})

test('a head that is none makes a record all the same', () => {
  for (const head of [
    '',
    'id',
    'id\nTYPE\n',
    'id\nTYPE\nsoon\nnode',
    'id\nT\n99999999999999999\nn\n',
  ]) {
    const [t, k, h, v] = ['t', 'k', 'h', 'v'].map((name) => Buffer.from(name))
    if (!(t && k && h && v)) throw new Error('no names')
    const record = new EntryRecord([t, t, k, k, h, Buffer.from(head), v, v])
    expect(record.timestamp).toBe(0)
    expect(heard([record])).toEqual(heard([{ ...expectedOf(record) }]))
  }
})

function expectedOf({ topic, key, value, headers, timestamp }: EntryRecord): NewRecord {
  return { topic, key, value, headers, timestamp }
}
