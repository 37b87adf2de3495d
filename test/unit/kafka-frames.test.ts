import { describe, expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import type { NewRecord } from '#eventlog/event-log.ts'
import * as parent from '#eventlog/kafka/frames.ts'
import { frameBytesOf, produceFrame } from '#eventlog/kafka/produce-frame.ts'
import { ProduceReader } from '../support/produced-frame.ts'

/** The other side: what the client's process says and understands. */
interface Host {
  version: number
  told: Record<string, number>
  said: Record<string, number>
  frameReader(onFrame: (kind: number, body: Buffer) => void): (chunk: Buffer) => void
  jsonFrame(kind: number, value: unknown): Buffer
  newFrame(kind: number, bodyBytes: number): Buffer
  Reports: new () => {
    add(id: number, code: number, partition: number, offset: number): void
    take(): Buffer
  }
  recordsFrame(kind: number, head: [number, number], messages: readonly object[]): Buffer
}

const pathOf = (file: string) =>
  fileURLToPath(new URL(`../../eventlog/kafka/host/${file}`, import.meta.url))
const host = (await import(pathOf('frames.mjs'))) as Host

const bytes = () => fc.uint8Array({ maxLength: 200 })
const maybeBytes = () => fc.option(bytes())
// Few letters, so that names meet that begin and end alike; and any others.
const name = () =>
  fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', 'é'), maxLength: 4 }),
    fc.string({ maxLength: 30 }),
    fc.string({ unit: 'grapheme', maxLength: 10 }),
  )
const headers = () => fc.array(fc.tuple(name(), bytes()), { maxLength: 5 })
const timestamp = () => fc.oneof(fc.constant(0), fc.nat({ max: 2 ** 45 }))
const offset = () => fc.nat({ max: Number.MAX_SAFE_INTEGER })
const u32 = () => fc.nat({ max: 2 ** 32 - 1 })
const newRecord = (): fc.Arbitrary<NewRecord> =>
  fc
    .record({
      topic: fc.constantFrom('stream-events', 'chat-events', 'a.b.dlq', 'ü'),
      partition: fc.option(fc.nat({ max: 2 ** 31 - 1 }), { nil: undefined }),
      key: maybeBytes(),
      value: maybeBytes(),
      headers: headers(),
      timestamp: timestamp(),
    })
    .map(({ partition, ...rest }) => ({ ...rest, ...(partition !== undefined && { partition }) }))

function bodyOf(frame: Uint8Array): { kind: number; body: Buffer } {
  const found: { kind: number; body: Buffer }[] = []
  host.frameReader((kind, body) => found.push({ kind, body }))(Buffer.from(frame))
  const [only] = found
  if (only === undefined || found.length > 1) throw new Error(`${found.length} frames`)
  return only
}

function frameOf(frame: Uint8Array): parent.Frame {
  const found: parent.Frame[] = []
  parent.frameReader((each) => found.push(each))(new Uint8Array(frame))
  const [only] = found
  if (only === undefined || found.length > 1) throw new Error(`${found.length} frames`)
  return only
}

const plain = (of: Uint8Array | null) => (of === null ? null : [...of])

test('both sides speak the same version and name their frames alike', () => {
  expect([host.version, host.told, host.said]).toEqual([
    parent.version,
    { ...parent.told },
    { ...parent.said },
  ])
})

describe('whatever is said on one side is heard on the other', () => {
  test('records to be produced', () => {
    // One reader for all: what it keeps of a frame must not come up in a later one.
    const reader = new ProduceReader()
    const shared: NewRecord['headers'] = [
      ['a', new Uint8Array([1])],
      ['b', new Uint8Array(70)],
    ]
    const record = fc.tuple(newRecord(), fc.subarray(shared), fc.boolean()).map(mixed)
    const records = fc.array(record, { maxLength: 12 })
    fc.assert(
      fc.property(u32(), records, (firstId, given) => {
        const bytesOf = given.reduce((sum, each) => sum + frameBytesOf(each), 0)
        const { kind, body } = bodyOf(produceFrame(firstId, given, bytesOf))
        expect(kind).toBe(parent.told.produce)
        reader.open(body)
        const heard: unknown[] = []
        while (reader.next()) {
          const { id, topic, partition, timestamp: at, key, value } = reader
          const pairs = reader.headers.flatMap((header) => Object.entries(header))
          heard.push(
            inNumbers({ id, topic, partition, at, key: plain(key), value: plain(value), pairs }),
          )
        }
        expect(heard).toEqual(
          given.map((each, index) => ({
            id: (firstId + index) % 2 ** 32,
            topic: each.topic,
            partition: each.partition ?? -1,
            // The client takes 0 for "now".
            at: each.timestamp === 0 ? -1 : each.timestamp,
            key: plain(each.key),
            value: plain(each.value),
            pairs: each.headers.map(([of, value]) => [of, [...value]]),
          })),
        )
      }),
    )
  })

  test('records that were consumed', () => {
    const message = fc.record({
      offset: offset(),
      timestamp: fc.oneof(fc.constant(-1), timestamp()),
      key: maybeBytes(),
      value: maybeBytes(),
      headers: fc.option(headers(), { nil: undefined }),
    })
    const page = fc.array(message, { maxLength: 12 })
    fc.assert(
      fc.property(u32(), u32(), page, (one, other, messages) => {
        const given = messages.map(({ headers: heads, ...rest }) => ({
          ...rest,
          headers: heads?.map(([of, value]) => ({ [of]: Buffer.from(value) })),
        }))
        const frame = frameOf(host.recordsFrame(parent.said.records, [one, other], given))
        expect([frame.kind, ...parent.headOf(frame)]).toEqual([parent.said.records, one, other])
        const place = { topic: 'chat-events', partition: 3 }
        const heard = parent.recordsOf(frame, place)
        expect(heard.map((record) => ({ ...record, ...texts(record) }))).toEqual(
          messages.map((record) => ({
            ...place,
            offset: record.offset,
            timestamp: record.timestamp === -1 ? 0 : record.timestamp,
            ...texts({ ...record, headers: record.headers ?? [] }),
          })),
        )
      }),
    )
  })

  test('headers that come again and again are told as they are, also after too many others', () => {
    const of = (value: string) => {
      const headers = [{ ce_type: Buffer.from(value) }, { ce_id: Buffer.from(value) }]
      const message = { offset: 0, timestamp: 1, key: null, value: null, headers }
      return frameOf(host.recordsFrame(parent.said.records, [1, 1], [message]))
    }
    const place = { topic: 't', partition: 0 }
    const heard = (frame: parent.Frame) =>
      parent.recordsOf(frame, place)[0]?.headers.map(([, value]) => Buffer.from(value).toString())
    for (let round = 0; round < 500; round += 1) {
      const value = round % 2 === 0 ? 'CHAT_MESSAGE' : `CHAT_${round}_E`
      const frame = of(value)
      expect(heard(frame)).toEqual([value, value])
      frame.body.fill(0)
    }
  })

  test('what became of records', () => {
    const report = fc.record({
      id: u32(),
      code: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
      partition: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
      offset: fc.oneof(fc.constant(-1), offset()),
    })
    const writer = new host.Reports()
    fc.assert(
      fc.property(fc.array(report), (reports) => {
        for (const { id, code, partition, offset: at } of reports)
          writer.add(id, code, partition, at)
        const frame = frameOf(writer.take())
        expect(frame.kind).toBe(parent.said.reports)
        const heard: unknown[] = []
        parent.eachReport(frame, (id, code, partition, at) => {
          heard.push({ id, code, partition, offset: at })
        })
        expect(heard).toEqual(reports)
      }),
    )
  })

  test('calls, answers and what was read', () => {
    fc.assert(
      fc.property(fc.jsonValue(), u32(), u32(), u32(), (value, member, stream, read) => {
        const call = bodyOf(parent.jsonFrame(parent.told.call, value))
        const text = JSON.stringify(value)
        expect([call.kind, call.body.toString()]).toEqual([parent.told.call, text])
        const answer = frameOf(host.jsonFrame(parent.said.answer, value))
        expect([answer.kind, parent.jsonOf(answer)]).toEqual([parent.said.answer, JSON.parse(text)])
        const { kind, body } = bodyOf(parent.creditFrame(member, stream, read))
        const numbers = [0, 4, 8].map((at) => body.readUInt32LE(at))
        expect([kind, ...numbers]).toEqual([parent.told.credit, member, stream, read])
      }),
    )
  })
})

describe('frames are whole however they are torn', () => {
  const body = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 3_000 }))
  const frames = fc.array(fc.tuple(fc.nat({ max: 255 }), body), { maxLength: 12 })
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 })
  const sides: Record<string, Side> = {
    'by the parent': (heard) =>
      parent.frameReader(({ kind, body: of, view }) => {
        expect(view.byteLength).toBe(of.length)
        heard(kind, of)
      }),
    'by the client': (heard) => {
      const read = host.frameReader(heard)
      return (chunk) => read(Buffer.from(chunk))
    },
  }
  type Side = (heard: (kind: number, body: Uint8Array) => void) => (chunk: Uint8Array) => void

  test.each(Object.keys(sides))('%s', (side) => {
    fc.assert(
      fc.property(frames, cuts, (given, at) => {
        const stream = Buffer.concat(
          given.map(([kind, of]) => {
            const frame = host.newFrame(kind, of.length)
            frame.set(of, 5)
            return frame
          }),
        )
        const heard: unknown[] = []
        const read = sides[side]?.((kind, of) => heard.push([kind, [...of]]))
        const ends = at.map((part) => Math.floor(part * stream.length)).sort((a, b) => a - b)
        let from = 0
        for (const end of [...ends, stream.length]) {
          if (end > from) read?.(new Uint8Array(stream.subarray(from, end)))
          from = end
        }
        expect(heard).toEqual(given.map(([kind, of]) => [kind, [...of]]))
      }),
    )
  })
})

function inNumbers(heard: unknown): unknown {
  const { pairs, ...rest } = heard as { pairs: [string, Uint8Array][] }
  return { ...rest, pairs: pairs.map(([of, value]) => [of, [...value]]) }
}

function texts({ key, value, headers: heads }: Pick<NewRecord, 'key' | 'value' | 'headers'>) {
  return {
    key: plain(key),
    value: plain(value),
    headers: heads.map(([of, bytesOf]) => [of, [...bytesOf]]),
  }
}

/** Headers of the record's own before or behind ones that other records share. */
function mixed([record, shared, isBefore]: [NewRecord, NewRecord['headers'], boolean]): NewRecord {
  const { headers: own } = record
  return { ...record, headers: isBefore ? [...own, ...shared] : [...shared, ...own] }
}
