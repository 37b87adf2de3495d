import { beforeAll, describe, expect, test } from 'bun:test'
import { headerOf } from '#consumers/read-record.ts'
import { dlqTopic, topics } from '#events/topics.ts'
import { until } from '../support/until.ts'
import { Bench, type OpenParts, type Parts } from './consumers-bench.ts'
import { recordFor, Teller, textRecord } from './consumers-events.ts'

const sessions = (count: number, name = 's') =>
  Array.from({ length: count }, (_, at) =>
    recordFor(new Teller(`${name}${at}`).tell('CLIENT_CONNECTED', connected)),
  )
const connected = { transport: 'ws', connectionId: 'c1' }
const upTo = (count: number) => Array.from({ length: count }, (_, at) => at)

/** What the consume loop promises, over any event log and any Postgres. */
export function consumersContract(name: string, open: OpenParts): void {
  describe(`consumers over ${name}`, () => {
    let parts: Parts
    beforeAll(async () => {
      parts = await open()
    })
    const newBench = async () => {
      const bench = await Bench.open(parts)
      return { bench, start: await bench.beginAtEnd() }
    }

    test('hands over every event of a partition once and in order, and moves the offset with the rows', async () => {
      const { bench, start } = await newBench()
      const sizes: number[] = []
      bench.run({ batchSize: 7 }, (offsets) => void sizes.push(offsets.length))
      await bench.produce(sessions(30))
      await bench.reaches(start + 30)
      expect(await bench.handledOffsets()).toEqual(upTo(30).map((at) => start + at))
      expect(Math.max(...sizes)).toBeLessThanOrEqual(7)
    })

    test('goes on from the table after a stop, with what came meanwhile', async () => {
      const { bench, start } = await newBench()
      const first = bench.run()
      await bench.produce(sessions(5))
      await bench.reaches(start + 5)
      await first.stop()
      await bench.produce(sessions(5))
      bench.run()
      await bench.reaches(start + 10)
      expect(await bench.handledOffsets()).toEqual(upTo(10).map((at) => start + at))
    })

    test('finishes what is in hand when it is told to stop', async () => {
      const { bench, start } = await newBench()
      const inHand = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const consumer = bench.run({ batchSize: 3 }, async () => {
        inHand.resolve()
        await go.promise
      })
      await bench.produce(sessions(9))
      await inHand.promise
      let hasStopped = false
      const stopped = consumer.stop().then(() => {
        hasStopped = true
      })
      await Bun.sleep(30)
      expect(hasStopped).toBe(false)
      go.resolve()
      await stopped
      const offsets = await bench.handledOffsets()
      expect(offsets.length).toBeGreaterThan(0)
      expect(await bench.offset()).toBe(start + offsets.length)
    })

    test('waits while the database is away: nothing is skipped, parked or counted as a failure', async () => {
      const { bench, start } = await newBench()
      bench.database.fails = 'before'
      const consumer = bench.run({ maxAttempts: 1 })
      await bench.produce(sessions(4))
      await until(() => bench.database.transactions > 3)
      const health = await consumer.health()
      expect(health.state).toBe('down')
      expect(health.reason).toContain('cut before')
      bench.database.fails = 'never'
      await bench.reaches(start + 4)
      expect(await bench.handledOffsets()).toEqual(upTo(4).map((at) => start + at))
      expect(await consumer.health()).toEqual({ state: 'up' })
      expect(await bench.records(dlqTopic(topics.stream, bench.groupId))).toEqual([])
    })

    test('does nothing twice when the answer to a commit was lost', async () => {
      const { bench, start } = await newBench()
      bench.database.fails = 'unheard'
      bench.run()
      await bench.produce(sessions(4))
      await bench.reaches(start + 4)
      await bench.produce(sessions(2))
      await bench.reaches(start + 6)
      expect(await bench.handledOffsets()).toEqual(upTo(6).map((at) => start + at))
    })

    test('leaves alone what another member has done', async () => {
      const { bench, start } = await newBench()
      let tries = 0
      bench.run({ batchSize: 10 }, async () => {
        tries += 1
        // The other member moves the offset between the two tries of this one.
        if (tries === 1) {
          setTimeout(() => void bench.setOffset(start + 3), 1)
          throw new Error('first try')
        }
      })
      await bench.produce(sessions(5))
      await bench.reaches(start + 5)
      const offsets = await bench.handledOffsets()
      expect(offsets).toContain(start + 4)
      expect(new Set(offsets).size).toBe(offsets.length)
    })

    test('shares partitions between members; each row is one member’s', async () => {
      const bench = await Bench.open(parts)
      const from = ((await bench.eventLog.kept(topics.stream)) ?? []).map(({ to }) => to)
      const ends = async () =>
        ((await bench.eventLog.kept(topics.stream)) ?? []).map(({ to }) => to)
      const records = sessions(100, 'm').map(({ partition: _, ...record }) => record)
      bench.run({ from: 'end', batchSize: 5 })
      await until(async () => (await bench.offset(15)) !== null)
      await bench.eventLog.produce(records.slice(0, 50))
      const second = bench.run({ from: 'end', batchSize: 5 })
      await bench.eventLog.produce(records.slice(50))
      await second.stop()
      for (const [partition, to] of (await ends()).entries()) {
        if (to > (from[partition] ?? 0)) await bench.reaches(to, partition)
      }
      const ids = (await bench.handled()).map(({ eventId }) => eventId)
      expect(ids).toHaveLength(100)
      expect(new Set(ids).size).toBe(100)
    })

    test('tries again, then in halves, until the bad one is alone; it alone is parked', async () => {
      const { bench, start } = await newBench()
      const tried: string[] = []
      const bad = start + 5
      const consumer = bench.run({ batchSize: 8, maxAttempts: 3 }, (offsets, { attempt }) => {
        tried.push(`${offsets.length}:${attempt}`)
        if (offsets.includes(bad)) throw new Error('cannot do this one')
      })
      const records = sessions(8)
      await bench.produce(records)
      await bench.reaches(start + 8)
      expect(await bench.handledOffsets()).toEqual(
        upTo(8)
          .map((at) => start + at)
          .filter((offset) => offset !== bad),
      )
      expect(tried.filter((entry) => entry.startsWith('1:')).slice(-4)).toContain('1:3')
      const parked = await bench.records(dlqTopic(topics.stream, bench.groupId))
      expect(parked).toHaveLength(1)
      const [record] = parked
      if (record === undefined) throw new Error('nothing parked')
      expect(Buffer.from(record.value ?? [])).toEqual(Buffer.from(records[5]?.value ?? []))
      expect(Buffer.from(record.key ?? []).toString()).toBe('s5')
      const told = (header: string) => headerOf(record, header)
      expect(told('ce_type')).toBe('CLIENT_CONNECTED')
      expect([told('dlq-topic'), told('dlq-partition'), told('dlq-offset')]).toEqual([
        topics.stream,
        '0',
        String(bad),
      ])
      expect(told('dlq-group')).toBe(bench.groupId)
      expect([told('dlq-error-type'), told('dlq-error-message')]).toEqual([
        'handler',
        'cannot do this one',
      ])
      expect(told('dlq-attempts')).toBe('3')
      expect(Date.parse(told('dlq-first-failed-at') ?? '')).toBeGreaterThan(Date.now() - 60_000)
      expect(await consumer.health()).toEqual({ state: 'up' })
    })

    test('parks at once what cannot be read, and goes on', async () => {
      const { bench, start } = await newBench()
      bench.run()
      const event = new Teller('s0').tell('CLIENT_CONNECTED', connected)
      const later = { ...event, schemaVersion: 2 }
      const wrong = { ...event, transport: 7 }
      const nul = { ...event, note: 'a\u0000b' }
      const unknown = { ...event, eventId: new Teller('x').tell('X').eventId, eventType: 'NOVELTY' }
      const values = [null, 'no json', '[]', '{}', later, wrong, nul, unknown]
      await bench.produce(
        values.map((value) =>
          textRecord(
            topics.stream,
            's0',
            typeof value === 'object' && value ? JSON.stringify(value) : value,
          ),
        ),
      )
      await bench.reaches(start + values.length)
      expect(await bench.handledOffsets()).toEqual([start + 7])
      const parked = await bench.records(dlqTopic(topics.stream, bench.groupId))
      expect(parked.map((record) => headerOf(record, 'dlq-error-type'))).toEqual([
        ...['decode', 'decode', 'decode'],
        ...['schema', 'schema', 'schema', 'schema'],
      ])
      expect(parked.every((record) => headerOf(record, 'dlq-attempts') === '1')).toBe(true)
      expect(parked[0]?.value).toBeNull()
    })
  })
}

/** What the loop promises of limits, duplicates and the edges of the log. */
export function consumerEdgesContract(name: string, open: OpenParts): void {
  describe(`consumers at the edges, over ${name}`, () => {
    let parts: Parts
    beforeAll(async () => {
      parts = await open()
    })
    const newBench = async () => {
      const bench = await Bench.open(parts)
      return { bench, start: await bench.beginAtEnd() }
    }

    test('a new group begins where it is told to', async () => {
      const { bench: early } = await newBench()
      await early.produce(sessions(1))
      const bench = await Bench.open(parts)
      const [range] = (await bench.eventLog.kept(topics.stream)) ?? []
      bench.run({ from: 'end' })
      await until(async () => (await bench.offset()) !== null)
      await bench.produce(sessions(1))
      await bench.reaches((range?.to ?? 0) + 1)
      expect(await bench.handledOffsets()).toEqual([range?.to ?? 0])
      const all = await Bench.open(parts)
      const seen: number[] = []
      const go = Promise.withResolvers<void>()
      all.run({ batchSize: 1 }, (offsets) => {
        seen.push(...offsets)
        return go.promise
      })
      await until(() => seen.length > 0)
      expect(await all.offset()).toBe(0)
      expect(seen).toEqual([0])
      go.resolve()
    })

    test('after 20 parked in a minute a partition pauses and says so; then the next 20', async () => {
      const { bench, start } = await newBench()
      const consumer = bench.run({ batchSize: 50 })
      await bench.produce(upTo(45).map(() => textRecord(topics.stream, 'k', 'broken')))
      await until(() => bench.clock.isHeld)
      expect(await bench.offset()).toBe(start + 20)
      expect(await consumer.health()).toMatchObject({ state: 'down' })
      expect((await consumer.health()).reason).toContain('parked')
      bench.clock.minute()
      await bench.reaches(start + 40)
      await until(() => bench.clock.isHeld)
      expect(consumer.resume()).toBe(1)
      await bench.reaches(start + 45)
      expect(await consumer.health()).toEqual({ state: 'up' })
      expect(consumer.resume()).toBe(0)
      expect(await bench.records(dlqTopic(topics.stream, bench.groupId))).toHaveLength(45)
    })

    test('a partition that is paused does not hold up the end', async () => {
      const { bench, start } = await newBench()
      const consumer = bench.run({ batchSize: 50 })
      await bench.produce(upTo(25).map(() => textRecord(topics.stream, 'k', 'broken')))
      await until(() => bench.clock.isHeld)
      const toldMs = performance.now()
      await consumer.stop()
      expect(performance.now() - toldMs).toBeLessThan(2_000)
      expect(await bench.offset()).toBe(start + 20)
    })

    test('what fails alone counts for the limit, too', async () => {
      const { bench, start } = await newBench()
      bench.run({ batchSize: 4, maxAttempts: 1 }, () => {
        throw new Error('all fail')
      })
      await bench.produce(sessions(24))
      await until(() => bench.clock.isHeld, { timeoutMs: 15_000 })
      expect(await bench.records(dlqTopic(topics.stream, bench.groupId))).toHaveLength(20)
      expect(await bench.offset()).toBe(start + 20)
    })

    test('with `once` an event counts once, however often and wherever it stands', async () => {
      const { bench, start } = await newBench()
      let afterwards = 0
      bench.run({ once: true, batchSize: 3 }, (_offsets, context) =>
        context.afterwards(() => {
          afterwards += 1
        }),
      )
      const records = sessions(4)
      const twice = records.flatMap((record) => [record, record])
      await bench.produce([...twice, ...records.slice(1)])
      await bench.reaches(start + 11)
      const ids = (await bench.handled()).map(({ eventId }) => eventId)
      expect(ids).toHaveLength(4)
      expect(new Set(ids).size).toBe(4)
      expect(afterwards).toBe(3)
    })

    test('what shall run afterwards runs only when the batch stands', async () => {
      const { bench, start } = await newBench()
      const ran: number[] = []
      bench.run({}, (_offsets, { attempt, afterwards }) => {
        afterwards(() => ran.push(attempt))
        if (attempt === 1) throw new Error('once more')
      })
      await bench.produce(sessions(3))
      await bench.reaches(start + 3)
      expect(ran).toEqual([2])
    })

    test('records that nobody wants are passed by, with the offset', async () => {
      const { bench, start } = await newBench()
      bench.run({ eventTypes: ['SESSION_STARTED'] })
      await bench.produce(sessions(3))
      await bench.reaches(start + 3)
      expect(await bench.handled()).toEqual([])
      // Without a header that tells its type it has to be read to know.
      const { sessionId, ...event } = new Teller('s9').tell('CLIENT_CONNECTED', connected)
      const json = JSON.stringify({ ...event, sessionId })
      await bench.produce([textRecord(topics.stream, 's9', json)])
      await bench.reaches(start + 4)
      expect(await bench.handled()).toEqual([])
    })

    test('a record that was put back for another group is passed by', async () => {
      const { bench, start } = await newBench()
      bench.run()
      const [record] = sessions(1)
      if (record === undefined) throw new Error('no record')
      const redrive = (group: string): [string, Uint8Array] => ['redrive', Buffer.from(group)]
      await bench.produce([
        { ...record, headers: [...record.headers, redrive('another')] },
        { ...record, headers: [...record.headers, redrive(bench.groupId)] },
      ])
      await bench.reaches(start + 2)
      expect(await bench.handledOffsets()).toEqual([start + 1])
    })

    test('an offset outside the log stops the partition and says so; nothing is skipped', async () => {
      const { bench, start } = await newBench()
      await bench.setOffset(start + 1_000)
      const consumer = bench.run()
      await until(async () => (await consumer.health()).reason?.includes('outside'))
      await bench.produce(sessions(2))
      expect(await bench.offset()).toBe(start + 1_000)
      expect(await bench.handled()).toEqual([])
    })

    test('lag is what waits, in records and in seconds', async () => {
      const { bench, start } = await newBench()
      const go = Promise.withResolvers<void>()
      const consumer = bench.run({ batchSize: 1 }, () => go.promise)
      await bench.produce(sessions(3))
      const lag = async () => (await consumer.lag()).find(({ partition }) => partition === 0)
      await until(async () => Number((await lag())?.lagSeconds) > 30)
      expect((await lag())?.lag).toBe(3)
      go.resolve()
      await bench.reaches(start + 3)
      await until(async () => (await lag())?.lag === 0)
      expect((await lag())?.lagSeconds).toBe(0)
    })
  })
}
