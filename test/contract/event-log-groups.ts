import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { EventLog } from '#eventlog/event-log.ts'
import { until } from '../support/until.ts'
import {
  drain,
  type EventLogAdapter,
  join,
  type MakeAdapter,
  never,
  newGroup,
  numbered,
  numberOf,
  numbersOf,
  settle,
  sorted,
  take,
  upTo,
} from './event-log-adapter.ts'

/** One member alone in its group. */
export function groupsContract(makeAdapter: MakeAdapter): void {
  let adapter: EventLogAdapter
  let log: EventLog
  beforeAll(async () => {
    adapter = await makeAdapter()
    log = adapter.log
  })
  afterAll(() => adapter[Symbol.asyncDispose]())

  describe('a group begins', () => {
    test('at the beginning', async () => {
      const topic = await adapter.makeTopic(2)
      await log.produce(numbered(topic, 10))
      const member = await join(log, { topics: [topic], from: 'beginning' })
      expect(sorted(numbersOf(await take(member, 10)))).toEqual(upTo(10))
    })

    test('at the end', async () => {
      const topic = await adapter.makeTopic(2)
      await log.produce(numbered(topic, 10))
      const member = await join(log, { topics: [topic], from: 'end' })
      await until(() => member.assigned().length === 2)
      await log.produce(numbered(topic, 5, 10))
      expect(sorted(numbersOf(await take(member, 5)))).toEqual([10, 11, 12, 13, 14])
    })

    test('at a time', async () => {
      const topic = await adapter.makeTopic(1)
      await log.produce(numbered(topic, 10))
      const member = await join(log, { topics: [topic], from: { atMs: 1_006 } })
      expect(numbersOf(await take(member, 4))).toEqual([6, 7, 8, 9])
    })

    test('where it has committed, whatever `from` says', async () => {
      const topic = await adapter.makeTopic(1)
      const group = newGroup()
      await log.produce(numbered(topic, 10))
      const first = await join(log, { group, topics: [topic] })
      await take(first, 10)
      await first.commit([{ topic, partition: 0, offset: 4 }])
      await first[Symbol.asyncDispose]()
      const second = await join(log, { group, topics: [topic], from: 'end' })
      expect(numbersOf(await take(second, 6))).toEqual([4, 5, 6, 7, 8, 9])
    })

    test('where the member says when it is given the partitions', async () => {
      const topic = await adapter.makeTopic(2)
      await log.produce(numbered(topic, 20).map((record, at) => ({ ...record, partition: at % 2 })))
      const told: number[] = []
      const member = await join(log, {
        topics: [topic],
        onAssigned: async (partitions) => {
          told.push(...partitions.map(({ partition }) => partition))
          await Bun.sleep(5)
          return [{ topic, partition: 1, offset: 8 }]
        },
      })
      const batches = await take(member, 12)
      expect(sorted(told)).toEqual([0, 1])
      expect(numbersOf(batches.filter(({ partition }) => partition === 1))).toEqual([17, 19])
      expect(numbersOf(batches.filter(({ partition }) => partition === 0))).toHaveLength(10)
    })
  })

  describe('a poll', () => {
    test('answers at most `max` of a partition, each once, in order', async () => {
      const topic = await adapter.makeTopic(3)
      await log.produce(numbered(topic, 400))
      const member = await join(log, { topics: [topic] })
      const batches = await take(member, 400, 7)
      expect(batches.every(({ records }) => records.length <= 7)).toBe(true)
      for (const partition of upTo(3)) {
        const offsets = batches
          .filter((batch) => batch.partition === partition)
          .flatMap(({ records }) => records.map(({ offset }) => offset))
        expect(offsets).toEqual(upTo(offsets.length))
      }
    })

    test('waits for a record and then answers it', async () => {
      const topic = await adapter.makeTopic(2)
      const member = await join(log, { topics: [topic] })
      for (const round of upTo(3)) {
        const polled = member.poll(10, never)
        await settle()
        await log.produce(numbered(topic, 1, round))
        expect(numbersOf(await polled)).toEqual([round])
      }
    })

    test('is empty when its signal aborts, and loses nothing', async () => {
      const topic = await adapter.makeTopic(1)
      const member = await join(log, { topics: [topic] })
      await until(() => member.assigned().length === 1)
      const abort = new AbortController()
      const polled = member.poll(10, abort.signal)
      await settle()
      abort.abort()
      expect(await polled).toEqual([])
      expect(await member.poll(10, AbortSignal.abort())).toEqual([])
      await log.produce(numbered(topic, 3))
      expect(numbersOf(await take(member, 3))).toEqual([0, 1, 2])
    })
  })

  describe('a partition', () => {
    test('that is paused gives nothing until it is resumed, then what came meanwhile', async () => {
      const topic = await adapter.makeTopic(2)
      const member = await join(log, { topics: [topic] })
      await until(() => member.assigned().length === 2)
      member.pause({ topic, partition: 0 })
      await log.produce(numbered(topic, 10).map((record, at) => ({ ...record, partition: at % 2 })))
      expect(await drain(member)).toEqual([1, 3, 5, 7, 9])
      const polled = member.poll(100, never)
      await settle()
      member.resume({ topic, partition: 0 })
      expect(numbersOf(await polled)).toEqual([0, 2, 4, 6, 8])
    })

    test('goes on from where it is sought', async () => {
      const topic = await adapter.makeTopic(1)
      await log.produce(numbered(topic, 20))
      const member = await join(log, { topics: [topic] })
      await take(member, 20)
      await member.seek({ topic, partition: 0, offset: 15 })
      expect(numbersOf(await take(member, 5))).toEqual([15, 16, 17, 18, 19])
      await member.seek({ topic, partition: 0, offset: 3 })
      expect(numbersOf(await take(member, 2, 2))).toEqual([3, 4])
      await member.seek({ topic, partition: 0, offset: 18 })
      expect(numbersOf(await take(member, 2))).toEqual([18, 19])
    })

    test('that is paused and resumed under traffic, over and over, gives each record once', async () => {
      const topic = await adapter.makeTopic(3)
      const member = await join(log, { topics: [topic] })
      const found: number[] = []
      let made = 0
      for (let round = 0; found.length < 900; round += 1) {
        if (made < 900) await log.produce(numbered(topic, 30, made))
        made = Math.min(900, made + 30)
        const partition = round % 3
        if (member.assigned().length === 3) {
          if (round % 2 === 0) member.pause({ topic, partition })
          for (const other of upTo(3)) {
            if (other !== partition) member.resume({ topic, partition: other })
          }
        }
        found.push(...numbersOf(await member.poll(11, AbortSignal.timeout(20))))
      }
      expect(sorted(found)).toEqual(upTo(900))
    })
  })

  describe('offsets', () => {
    test('that are committed are told of the group', async () => {
      const topic = await adapter.makeTopic(3)
      const group = newGroup()
      const member = await join(log, { group, topics: [topic] })
      await until(() => member.assigned().length === 3)
      expect(await log.committed(group)).toEqual([])
      expect(await log.groups()).not.toContain(group)
      await member.commit([
        { topic, partition: 0, offset: 0 },
        { topic, partition: 2, offset: 7 },
      ])
      await member.commit([{ topic, partition: 2, offset: 9 }])
      expect(await log.committed(group)).toEqual([
        { topic, partition: 0, offset: 0 },
        { topic, partition: 2, offset: 9 },
      ])
      expect(await log.groups()).toContain(group)
    })

    test('of one group are nothing to another', async () => {
      const topic = await adapter.makeTopic(1)
      await log.produce(numbered(topic, 6))
      const one = await join(log, { topics: [topic] })
      expect(numbersOf(await take(one, 6))).toEqual(upTo(6))
      await one.commit([{ topic, partition: 0, offset: 6 }])
      const other = await join(log, { topics: [topic] })
      expect(numbersOf(await take(other, 6))).toEqual(upTo(6))
      await log.produce(numbered(topic, 1, 6))
      const [a, b] = await Promise.all([take(one, 1), take(other, 1)])
      expect([...numbersOf(a), ...numbersOf(b)]).toEqual([6, 6])
    })

    test('of two topics are told apart', async () => {
      const [a, b] = [await adapter.makeTopic(1), await adapter.makeTopic(1)]
      await log.produce([...numbered(a, 3), ...numbered(b, 5)])
      const group = newGroup()
      const member = await join(log, { group, topics: [a, b] })
      const batches = await take(member, 8)
      expect(batches.find(({ topic }) => topic === b)?.records.map(numberOf)).toEqual(upTo(5))
      await member.commit([{ topic: b, partition: 0, offset: 5 }])
      expect(await log.committed(group)).toEqual([{ topic: b, partition: 0, offset: 5 }])
    })
  })
}
