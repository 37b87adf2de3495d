import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes, randomUUID } from 'node:crypto'
import type { KafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { makeTopic, openKafkaLog } from '../support/kafka.ts'
import { numbered, numberOf, readAll, upTo } from './event-log-adapter.ts'

let log: KafkaLog
beforeAll(async () => {
  log = await openKafkaLog()
}, 120_000)
afterAll(() => log[Symbol.asyncDispose]())

describe('what became of each record', () => {
  test('is told in the order of the array: delivered where, refused, unknown', async () => {
    const topic = await makeTopic(log, 2)
    const [record] = numbered(topic, 1)
    if (record === undefined) throw new Error('no record')
    const tooLong = { ...record, partition: 1, value: randomBytes(6 << 20) }
    const results = await log.produceEach([
      { ...record, partition: 1 },
      { ...record, partition: 2 },
      { ...record, topic: `no-${randomUUID()}` },
      tooLong,
      { ...record, partition: 1 },
    ])
    expect(results.map(({ is }) => is)).toEqual([
      'delivered',
      'refused',
      'unknown',
      'refused',
      'delivered',
    ])
    expect(results[0]).toEqual({ is: 'delivered', partition: 1, offset: 0 })
    expect(results[4]).toEqual({ is: 'delivered', partition: 1, offset: 1 })
    expect(results[3]).toMatchObject({ reason: expect.stringContaining('large') })
  })

  test('is told to the last before the log is closed', async () => {
    const own = await openKafkaLog()
    const topic = await makeTopic(log, 2)
    await own.produce(numbered(topic, 1))
    const produced = own.produceEach(numbered(topic, 20_000))
    await Bun.sleep(1)
    await own[Symbol.asyncDispose]()
    expect((await produced).filter(({ is }) => is !== 'delivered')).toEqual([])
  })

  test('is delivered once and in order when the client has no room for more', async () => {
    const own = await openKafkaLog({ heldMax: 50 })
    try {
      const topic = await makeTopic(log, 1)
      // The second comes while the client is full of the first.
      const both = [0, 1_500].map((from) => own.produceEach(numbered(topic, 1_500, from)))
      const results = (await Promise.all(both)).flat()
      expect(results).toEqual(
        upTo(3_000).map((offset) => ({ is: 'delivered', partition: 0, offset })),
      )
      expect((await readAll(log, { topic, partition: 0 })).map(numberOf)).toEqual(upTo(3_000))
    } finally {
      await own[Symbol.asyncDispose]()
    }
  })

  test('is known to be nothing more once it was purged', async () => {
    const topic = await makeTopic(log, 1)
    const produced = log.produceEach(numbered(topic, 20_000))
    await log.purge()
    const results = await produced
    expect(results).toHaveLength(20_000)
    await log.produce(numbered(topic, 1, 99_999))
    const stored = await readAll(log, { topic, partition: 0 })
    const last = Math.max(-1, ...stored.slice(0, -1).map(({ value }) => Number(String(value))))
    expect(last).toBeLessThan(20_000)
    expect(String(stored.at(-1)?.value)).toBe(String(new TextEncoder().encode('99999')))
  })
})

describe('a dead-letter topic', () => {
  test('is made with its first record, with the partitions of its source', async () => {
    const source = await makeTopic(log, 4)
    const parked = `${source}.a-group.with.dots.dlq`
    expect(await log.kept(parked)).toBeNull()
    await log.produce(numbered(parked, 3).map((record) => ({ ...record, partition: 3 })))
    expect((await log.kept(parked))?.map(({ to }) => to)).toEqual([0, 0, 0, 3])
  })

  test('of no source is not made', async () => {
    const parked = `no-${randomUUID()}.group.dlq`
    await expect(log.produce(numbered(parked, 1))).rejects.toThrow('there is no topic')
    expect(await log.kept(parked)).toBeNull()
  })
})
