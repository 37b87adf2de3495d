import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import type { Membership, NewRecord, Partition } from '#eventlog/event-log.ts'
import type { KafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { makeTopic, openKafkaLog, ownBroker } from '../support/kafka.ts'
import type { Broker } from '../support/kafka-broker.ts'
import { until } from '../support/until.ts'
import {
  bytes,
  join,
  newGroup,
  numbered,
  numberOf,
  numbersOf,
  readAll,
  take,
  upTo,
} from './event-log-adapter.ts'

// A broker of its own, which is killed.
let broker: Broker
beforeAll(async () => {
  broker = await ownBroker()
}, 120_000)

async function openLog(hangMs?: number): Promise<KafkaLog> {
  return openKafkaLog({ brokers: [broker.address], ...(hangMs !== undefined && { hangMs }) })
}

function clientOf(log: KafkaLog): number {
  if (log.pid === null) throw new Error('there is no client')
  return log.pid
}

/** Produces batches one after the other, each again until it is stored, as a relay does. */
async function relay(log: KafkaLog, batches: NewRecord[][], between: (at: number) => void) {
  let failures = 0
  for (const [at, batch] of batches.entries()) {
    for (let rest: readonly NewRecord[] = batch; rest.length > 0; ) {
      const produced = log.produceEach(rest)
      between(at)
      const results = await produced
      const done = results.findIndex(({ is }) => is !== 'delivered')
      rest = done === -1 ? [] : rest.slice(done)
      if (done !== -1) failures += 1
    }
  }
  return failures
}

/** Each number stands in the log, and the first time each does is in order. */
async function expectWhole(log: KafkaLog, place: Partition, count: number) {
  const numbers = (await readAll(log, place)).map(numberOf)
  expect([...new Set(numbers)]).toEqual(upTo(count))
}

function batchesOf(topic: string, count: number, size: number): NewRecord[][] {
  return upTo(count).map((at) => numbered(topic, size, at * size))
}

describe("the client's process", () => {
  test('that is killed while records are on their way: nothing is lost, the order stands', async () => {
    await using log = await openLog()
    const topic = await makeTopic(log, 1)
    const first = clientOf(log)
    const failures = await relay(log, batchesOf(topic, 40, 100), (at) => {
      if ([5, 20].includes(at) && log.pid !== null) process.kill(log.pid, 'SIGKILL')
    })
    expect(failures).toBeGreaterThan(0)
    expect(clientOf(log)).not.toBe(first)
    await expectWhole(log, { topic, partition: 0 }, 4_000)
  }, 30_000)

  test('that is killed rejects what was asked of it, and says so in its health until it is back', async () => {
    await using log = await openLog()
    const topic = await makeTopic(log, 1)
    await until(async () => (await log.health()).state === 'up')
    const produced = log.produce(numbered(topic, 10)).then(
      () => 'stored',
      (error: unknown) => (error as { code?: string }).code,
    )
    await new Promise((resolve) => setImmediate(resolve))
    process.kill(clientOf(log), 'SIGKILL')
    expect(await produced).toBe('KAFKA_AWAY')
    expect(await log.health()).toMatchObject({
      state: 'down',
      reason: expect.stringContaining('process'),
    })
    await until(async () => (await log.health()).state === 'up', { timeoutMs: 10_000 })
    await log.produce(numbered(topic, 10))
  }, 30_000)

  test('that is frozen is replaced, and what was in its hands is told as unknown', async () => {
    await using log = await openLog(1_000)
    const topic = await makeTopic(log, 1)
    await log.produce(numbered(topic, 10))
    const frozen = clientOf(log)
    const failures = await relay(log, batchesOf(topic, 10, 50), (at) => {
      if (at === 3 && log.pid === frozen) process.kill(frozen, 'SIGSTOP')
    })
    expect(failures).toBe(1)
    expect(clientOf(log)).not.toBe(frozen)
    await expectWhole(log, { topic, partition: 0 }, 500)
  }, 30_000)

  test.each(['SIGKILL', 'SIGSTOP'] as const)(
    'that gets %s while a member reads: its partitions go, come again, and no record is left out',
    async (signal) => {
      await using log = await openLog(1_000)
      const topic = await makeTopic(log, 2)
      await log.produce(numbered(topic, 400))
      const told: string[] = []
      const member = await join(log, {
        topics: [topic],
        onAssigned: async (partitions) => {
          for (const { partition } of partitions) told.push(`+${partition}`)
          return []
        },
        onRevoked: async (partitions) => {
          for (const { partition } of partitions) told.push(`-${partition}`)
        },
      })
      const before = numbersOf(await takeAndCommit(member, 100))
      process.kill(clientOf(log), signal)
      await until(() => told.includes('-0') && told.includes('-1'), { timeoutMs: 8_000 })
      expect(member.assigned()).toEqual([])
      const found = new Set(before)
      const deadline = AbortSignal.timeout(20_000)
      while (found.size < 400 && !deadline.aborted) {
        for (const number of numbersOf(await member.poll(50, deadline))) found.add(number)
      }
      expect(found.size).toBe(400)
      expect(told.sort()).toEqual(['+0', '+0', '+1', '+1', '-0', '-1'])
    },
    40_000,
  )
})

async function takeAndCommit(member: Membership, count: number) {
  const batches = await take(member, count, 25)
  for (const { topic, partition, records } of batches) {
    await member.commit([{ topic, partition, offset: (records.at(-1)?.offset ?? 0) + 1 }])
  }
  return batches
}

describe('brokers that are away', () => {
  test('take nothing away: what is produced meanwhile is stored, members go on', async () => {
    await using log = await openLog()
    const topic = await makeTopic(log, 1)
    await log.produce(numbered(topic, 50))
    const member = await join(log, { topics: [topic] })
    expect(numbersOf(await takeAndCommit(member, 50))).toEqual(upTo(50))
    await broker.kill()
    let isStored = false
    const produced = log.produce(numbered(topic, 50, 50)).then(() => {
      isStored = true
    })
    await until(async () => (await log.health()).state === 'down', { timeoutMs: 15_000 })
    expect((await log.health()).reason).toMatch(/./)
    expect(isStored).toBe(false)
    await broker.start()
    await produced
    await until(async () => (await log.health()).state === 'up', { timeoutMs: 15_000 })
    const found: number[] = []
    const deadline = AbortSignal.timeout(20_000)
    while (found.length < 50 && !deadline.aborted) {
      found.push(...numbersOf(await member.poll(100, deadline)))
    }
    expect([...new Set(found)]).toEqual(upTo(50).map((n) => n + 50))
    await expectWhole(log, { topic, partition: 0 }, 100)
  }, 60_000)

  test('at the start are waited for', async () => {
    await using maker = await openLog()
    const topic = await makeTopic(maker, 1)
    await broker.kill()
    await using log = await openLog()
    const member = await join(log, { topics: [topic] })
    expect(await log.health()).toMatchObject({ state: 'down' })
    await broker.start()
    await until(async () => (await log.health()).state === 'up', { timeoutMs: 20_000 })
    await log.produce(numbered(topic, 20))
    const found: number[] = []
    const deadline = AbortSignal.timeout(20_000)
    while (found.length < 20 && !deadline.aborted) {
      found.push(...numbersOf(await member.poll(100, deadline)))
    }
    expect(found).toEqual(upTo(20))
  }, 60_000)
})

describe('back-pressure', () => {
  let log: KafkaLog
  let topic: string
  const count = 500_000
  beforeAll(async () => {
    log = await openLog()
    topic = await makeTopic(log, 4)
  })
  afterAll(() => log[Symbol.asyncDispose]())

  test('keeps both processes small while half a million records go out at once', async () => {
    const value = bytes('x'.repeat(200))
    const batch = upTo(1_000).map((at) => ({
      ...{ topic, key: bytes(`key-${at}`), value, headers: [], timestamp: 1_000 },
    }))
    const before = memoryMb(process.pid)
    let isOver = false
    const peak = watch(
      () => memoryMb(clientOf(log)),
      () => isOver,
    )
    await Promise.all(upTo(count / batch.length).map(() => log.produce(batch)))
    isOver = true
    expect(await peak).toBeLessThan(400)
    expect(memoryMb(process.pid) - before).toBeLessThan(250)
    const ends = (await log.kept(topic))?.reduce((sum, { to }) => sum + to, 0)
    expect(ends).toBe(count)
  }, 60_000)

  test('holds what a member does not read back in the log, and lets it come when it does', async () => {
    const member = await join(log, { topics: [topic], group: newGroup() })
    await until(() => member.assigned().length === 4, { timeoutMs: 10_000 })
    const first = numberOfRecords(await member.poll(10, AbortSignal.timeout(10_000)))
    const before = memoryMb(process.pid)
    // Nothing is polled while ever more would come.
    await Bun.sleep(2_000)
    expect(memoryMb(process.pid) - before).toBeLessThan(60)
    let found = first
    const deadline = AbortSignal.timeout(40_000)
    let peak = 0
    while (found < count && !deadline.aborted) {
      found += numberOfRecords(await member.poll(500, deadline))
      if (found % 50 === 0) peak = Math.max(peak, memoryMb(clientOf(log)))
    }
    expect(found).toBe(count)
    expect(peak).toBeLessThan(450)
  }, 60_000)
})

function numberOfRecords(batches: { records: unknown[] }[]): number {
  return batches.reduce((sum, { records }) => sum + records.length, 0)
}

async function watch(measure: () => number, isOver: () => boolean): Promise<number> {
  let peak = 0
  while (!isOver()) {
    peak = Math.max(peak, measure())
    await Bun.sleep(50)
  }
  return peak
}

function memoryMb(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) / 1_024
}
