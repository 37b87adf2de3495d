import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { EventLog, NewRecord } from '#eventlog/event-log.ts'
import { partitionOf } from '#events/murmur2.ts'
import {
  bytes,
  type EventLogAdapter,
  endsOf,
  type MakeAdapter,
  never,
  numbered,
  numberOf,
  readAll,
  upTo,
} from './event-log-adapter.ts'

/** What is written is read as it was. */
export function recordsContract(makeAdapter: MakeAdapter): void {
  let adapter: EventLogAdapter
  let log: EventLog
  beforeAll(async () => {
    adapter = await makeAdapter()
    log = adapter.log
  })
  afterAll(() => adapter[Symbol.asyncDispose]())

  describe('records', () => {
    test('stand in the order of the array, in the partition of their key, without gaps', async () => {
      const topic = await adapter.makeTopic(4)
      const records = numbered(topic, 300)
      await log.produce(records.slice(0, 200))
      for (const record of records.slice(200)) await log.produce([record])
      for (const partition of upTo(4)) {
        const expected = records.filter(
          (record) => partitionOf(record.key ?? bytes(''), 4) === partition,
        )
        const found = await readAll(log, { topic, partition })
        expect(found.map(({ offset }) => offset)).toEqual(upTo(expected.length))
        expect(found.map(({ value }) => value)).toEqual(expected.map(({ value }) => value))
      }
    })

    test('go where they are told to', async () => {
      const topic = await adapter.makeTopic(4)
      await log.produce(numbered(topic, 5).map((record) => ({ ...record, partition: 3 })))
      expect(await endsOf(log, topic)).toEqual([0, 0, 0, 5])
    })

    test('are kept byte for byte, with nothing and emptiness told apart', async () => {
      const topic = await adapter.makeTopic(1)
      const all = Uint8Array.from({ length: 256 }, (_, at) => at)
      const headers: NewRecord['headers'] = [
        ['twice', bytes('first')],
        ['empty', bytes('')],
        ['twice', all],
        ['naïve 名', bytes('x')],
      ]
      const records: NewRecord[] = [
        { topic, key: null, value: null, headers: [], timestamp: 0 },
        { topic, key: bytes(''), value: bytes(''), headers, timestamp: 1 },
        { topic, key: all, value: all, headers, timestamp: 1_785_748_542_517 },
        { topic, key: null, value: bytes('x'), headers: [], timestamp: 3 },
        { topic, key: bytes('x'), value: null, headers, timestamp: 2 },
      ]
      await log.produce(records)
      const found = await readAll(log, { topic, partition: 0 })
      expect(found.map(plain)).toEqual(
        records.map((record, offset) => plain({ ...record, partition: 0, offset })),
      )
    })

    test('of a megabyte, and with headers of many kilobytes, are kept', async () => {
      const topic = await adapter.makeTopic(1)
      const value = new Uint8Array(1 << 20).fill(0xfe)
      const headers: NewRecord['headers'] = [['long', new Uint8Array(70_000).fill(7)]]
      const record = { topic, key: null, value, headers, timestamp: 1 }
      await log.produce([record, { ...record, headers: [] }, record])
      const found = await readAll(log, { topic, partition: 0 })
      expect(found.map(({ value: read }) => read?.length)).toEqual([1 << 20, 1 << 20, 1 << 20])
      expect(found.map((read) => read.headers[0]?.[1].length)).toEqual([70_000, undefined, 70_000])
      expect(found[2]?.headers[0]?.[1].every((byte) => byte === 7)).toBe(true)
    })

    test('without a key are stored, each somewhere', async () => {
      const topic = await adapter.makeTopic(4)
      await log.produce(numbered(topic, 40).map((record) => ({ ...record, key: null })))
      const found = await Promise.all(
        upTo(4).map((partition) => readAll(log, { topic, partition })),
      )
      expect(
        found
          .flat()
          .map(numberOf)
          .toSorted((a, b) => a - b),
      ).toEqual(upTo(40))
    })

    test('for a partition that is not there are refused', async () => {
      const topic = await adapter.makeTopic(2)
      const records = numbered(topic, 1).map((record) => ({ ...record, partition: 2 }))
      const refused = await log.produce(records).then(
        () => null,
        (error: unknown) => error,
      )
      expect(refused).toBeInstanceOf(Error)
      expect(await endsOf(log, topic)).toEqual([0, 0])
    })
  })

  describe('a range', () => {
    test('holds the offsets from its start up to, and not with, its end', async () => {
      const topic = await adapter.makeTopic(1)
      await log.produce(numbered(topic, 1_300))
      const read = async (from: number, to: number) => {
        const pages = await Array.fromAsync(log.read({ topic, partition: 0, from, to }, never))
        return pages.flat().map(({ offset }) => offset)
      }
      expect(await read(0, 1_300)).toEqual(upTo(1_300))
      expect(await read(3, 7)).toEqual([3, 4, 5, 6])
      expect(await read(1_298, 5_000)).toEqual([1_298, 1_299])
      expect(await read(7, 7)).toEqual([])
      expect(await read(1_300, 1_400)).toEqual([])
      expect(await read(9_000, 9_001)).toEqual([])
    })

    test('ends where the partition ended when the reading began', async () => {
      const topic = await adapter.makeTopic(1)
      await log.produce(numbered(topic, 1_200))
      const offsets: number[] = []
      const range = { topic, partition: 0, from: 0, to: Number.MAX_SAFE_INTEGER }
      for await (const page of log.read(range, never)) {
        if (offsets.length === 0) await log.produce(numbered(topic, 100, 1_200))
        offsets.push(...page.map(({ offset }) => offset))
      }
      expect(offsets).toEqual(upTo(1_200))
    })

    test('stops when its signal aborts', async () => {
      const topic = await adapter.makeTopic(1)
      await log.produce(numbered(topic, 3_000))
      const abort = new AbortController()
      let pages = 0
      const reading = (async () => {
        const range = { topic, partition: 0, from: 0, to: 3_000 }
        for await (const _page of log.read(range, abort.signal)) {
          pages += 1
          abort.abort()
        }
      })()
      const failure = await reading.then(
        () => null,
        (error: unknown) => error,
      )
      expect(failure).toMatchObject({ name: 'AbortError' })
      expect(pages).toBe(1)
    })
  })

  describe('what is kept', () => {
    test('is told per partition, and of no topic as null', async () => {
      const topic = await adapter.makeTopic(2)
      await log.produce(numbered(topic, 3).map((record) => ({ ...record, partition: 1 })))
      expect(await log.kept(topic)).toEqual([
        { topic, partition: 0, from: 0, to: 0 },
        { topic, partition: 1, from: 0, to: 3 },
      ])
      expect(await log.kept('no-such-topic')).toBeNull()
      expect(await log.topics()).toContainEqual({ topic, partitions: 2 })
    })
  })

  describe('the offset of a time', () => {
    test('is the first whose record is at or after it, though times go back and forth', async () => {
      const topic = await adapter.makeTopic(2)
      const times = upTo(1_000).map((at) => 10_000 + at * 10 + ((at * 7) % 13) * 6)
      // As from a clock that was wrong for a moment.
      times[50] = 50_000
      await log.produce(
        times.map((timestamp) => ({
          topic,
          partition: 1,
          key: null,
          value: null,
          headers: [],
          timestamp,
        })),
      )
      for (const atMs of [
        0, 10_000, 10_007, 12_345, 15_000, 15_001, 19_990, 20_051, 49_999, 99_999,
      ]) {
        const first = times.findIndex((time) => time >= atMs)
        expect(await log.offsetsAt(topic, atMs)).toEqual([
          { topic, partition: 0, offset: 0 },
          { topic, partition: 1, offset: first === -1 ? times.length : first },
        ])
      }
    })
  })
}

// Adapters may answer a Buffer, which is a Uint8Array too.
function plain({ key, value, headers, ...rest }: NewRecord & { offset: number }) {
  const hex = (of: Uint8Array | null) => (of === null ? null : Buffer.from(of).toString('hex'))
  return {
    ...rest,
    key: hex(key),
    value: hex(value),
    headers: headers.map(([n, v]) => [n, hex(v)]),
  }
}
