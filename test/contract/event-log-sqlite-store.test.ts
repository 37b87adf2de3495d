import { describe, expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import type { EventLog } from '#eventlog/event-log.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore, type Store } from '#eventlog/sqlite/store.ts'
import { topics } from '#events/topics.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import {
  bytes,
  endsOf,
  join,
  never,
  newGroup,
  numbered,
  numberOf,
  numbersOf,
  readAll,
  settle,
  sorted,
  take,
  upTo,
} from './event-log-adapter.ts'

const topic = topics.stream
const partition = 0
const dayMs = 24 * 3_600_000

/** A connection that is closed at the end of the test. */
function connect(dataDir: string, isOwner = true): { store: Store; log: EventLog } {
  const store = openStore({ dataDir, isOwner })
  atEnd(() => store[Symbol.dispose]())
  return { store, log: sqliteLog(store) }
}

const inOne = (count: number, first = 0) =>
  numbered(topic, count, first).map((record) => ({ ...record, partition }))

const failure = new Error('as planned')
function thrownBy(run: () => unknown): unknown {
  try {
    run()
    return null
  } catch (error) {
    return error
  }
}

describe('a transaction', () => {
  test('that fails leaves no record, no topic and no hole in the offsets', async () => {
    const { store, log } = connect(tempDir())
    await log.produce(inOne(3))
    const thrown = thrownBy(() =>
      store.transact(() => {
        store.append(inOne(5, 3))
        store.append(numbered(`${topic}.group.dlq`, 4))
        throw failure
      }),
    )
    expect(thrown).toBe(failure)
    expect([...store.topics.keys()].toSorted()).toEqual([topics.chat, topics.stream])
    await log.produce(inOne(2, 3))
    await log.produce(numbered(`${topic}.group.dlq`, 4))
    const records = await readAll(log, { topic, partition })
    expect(records.map(({ offset }) => offset)).toEqual(upTo(5))
    expect(records.map(numberOf)).toEqual(upTo(5))
  })

  test('inside another is part of it', async () => {
    const { store, log } = connect(tempDir())
    const answer = store.transact(() => {
      store.append(inOne(1))
      return store.transact(() => {
        store.append(inOne(1, 1))
        return 'inner'
      })
    })
    expect(answer).toBe('inner')
    const thrown = thrownBy(() =>
      store.transact(() => {
        store.transact(() => store.append(inOne(1, 2)))
        throw failure
      }),
    )
    expect(thrown).toBe(failure)
    expect((await readAll(log, { topic, partition })).map(numberOf)).toEqual([0, 1])
  })

  test('is needed to append', () => {
    const { store } = connect(tempDir())
    expect(() => store.append(inOne(1))).toThrow('append outside transact')
  })

  test('wakes a member that waits as soon as it is stored', async () => {
    const { store, log } = connect(tempDir())
    const member = await join(log, { topics: [topic] })
    const polled = member.poll(10, never)
    await settle()
    store.transact(() => store.append(inOne(2)))
    expect(numbersOf(await polled)).toEqual([0, 1])
  })
})

describe('topics', () => {
  test('are the two of the product, with sixteen partitions each', async () => {
    const { store, log } = connect(tempDir())
    expect(Object.fromEntries(store.topics)).toEqual({ 'stream-events': 16, 'chat-events': 16 })
    expect(await log.topics()).toHaveLength(2)
  })

  test('of dead letters are made when first written to, as many partitions as their source', async () => {
    const { store, log } = connect(tempDir())
    store.makeTopic('orders', 3)
    store.makeTopic('orders', 5)
    await log.produce(numbered('orders.some.group.dlq', 1))
    await log.produce(numbered('elsewhere.group.dlq', 1))
    expect(Object.fromEntries(store.topics)).toMatchObject({
      orders: 3,
      'orders.some.group.dlq': 3,
      'elsewhere.group.dlq': 16,
    })
  })

  test('that nobody made are refused, and nothing of that lot is stored', async () => {
    const { log } = connect(tempDir())
    const refused = log.produce([...inOne(1), ...numbered('no-such-topic', 1)])
    expect(await refused.catch((error: unknown) => error)).toMatchObject({
      message: 'no topic no-such-topic',
    })
    expect(await endsOf(log, topic)).toEqual(upTo(16).map(() => 0))
  })

  test('of a reopened store, their records, offsets and groups are those of before', async () => {
    const dataDir = tempDir()
    const group = newGroup()
    {
      using store = openStore({ dataDir })
      store.makeTopic('mine', 2)
      const log = sqliteLog(store)
      await log.produce([...inOne(300), ...numbered('mine', 10)])
      const member = await log.join({ group, topics: [topic], from: 'beginning' })
      await member.commit([{ topic, partition, offset: 120 }])
      await log[Symbol.asyncDispose]()
    }
    const { store, log } = connect(dataDir)
    expect(store.topics.get('mine')).toBe(2)
    await log.produce(inOne(100, 300))
    expect((await readAll(log, { topic, partition })).map(numberOf)).toEqual(upTo(400))
    expect(await log.committed(group)).toEqual([{ topic, partition, offset: 120 }])
    expect((await log.offsetsAt(topic, 1_350))[partition]?.offset).toBe(350)
  })
})

describe('two connections of one process', () => {
  test('append in turn without a gap or a clash', async () => {
    const dataDir = tempDir()
    const [a, b] = [connect(dataDir), connect(dataDir, false)]
    for (let made = 0; made < 300; made += 3) {
      await a.log.produce(inOne(2, made))
      await b.log.produce(inOne(1, made + 2))
    }
    for (const { log } of [a, b]) {
      const records = await readAll(log, { topic, partition })
      expect(records.map(({ offset }) => offset)).toEqual(upTo(300))
      expect(records.map(numberOf)).toEqual(upTo(300))
      expect((await log.offsetsAt(topic, 1_200))[partition]?.offset).toBe(200)
    }
  })

  test("hear of each other's records while they wait", async () => {
    const dataDir = tempDir()
    const [a, b] = [connect(dataDir), connect(dataDir, false)]
    const member = await join(b.log, { topics: [topic] })
    for (const round of upTo(3)) {
      const polled = member.poll(10, AbortSignal.timeout(8_000))
      await settle()
      await a.log.produce(inOne(2, 2 * round))
      expect(numbersOf(await polled)).toEqual([2 * round, 2 * round + 1])
    }
  })

  test('are read a few times a second while one of them stores all the time', async () => {
    const dataDir = tempDir()
    const [a, b] = [connect(dataDir), connect(dataDir, false)]
    const member = await join(b.log, { topics: [topic] })
    const numbers: number[] = []
    let polls = 0
    const over = new AbortController()
    const reading = (async () => {
      while (!over.signal.aborted) {
        numbers.push(...numbersOf(await member.poll(100_000, over.signal)))
        polls += 1
      }
    })()
    let made = 0
    for (const endMs = performance.now() + 1_000; performance.now() < endMs; made += 1) {
      await a.log.produce(inOne(1, made))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => numbers.length === made)
    over.abort()
    await reading
    expect(numbers).toEqual(upTo(made))
    expect(polls).toBeLessThan(20)
  })

  test('are read to the end, too, when a read was cut short and nobody stores any more', async () => {
    const dataDir = tempDir()
    const [a, b] = [connect(dataDir), connect(dataDir, false)]
    const headers: [string, Uint8Array][] = [['long', new Uint8Array(8 << 10)]]
    await a.log.produce(inOne(300).map((record) => ({ ...record, headers })))
    const member = await join(b.log, { topics: [topic] })
    expect(numbersOf(await member.poll(500, never)).length).toBeLessThan(300)
    expect(numbersOf(await member.poll(500, AbortSignal.timeout(2_000))).length).toBeGreaterThan(0)
  })

  test("hear of each other's topics: a member that wanted one gets it", async () => {
    const dataDir = tempDir()
    const [a, b] = [connect(dataDir), connect(dataDir, false)]
    const dead = `${topic}.group.dlq`
    const member = await join(b.log, { topics: [dead] })
    expect(member.assigned()).toEqual([])
    const taken = take(member, 5)
    await settle()
    await a.log.produce(numbered(dead, 5))
    expect(sorted(numbersOf(await taken))).toEqual(upTo(5))
    expect(member.assigned()).toHaveLength(16)
  })
})

test('who takes over where nothing is committed begins where the group began', async () => {
  const { log } = connect(tempDir())
  const group = newGroup()
  await log.produce(inOne(10))
  const options = { group, topics: [topic], from: 'end' as const }
  const first = await join(log, options)
  const second = await join(log, options)
  await log.produce(inOne(5, 10))
  const other = first.assigned().some((place) => place.partition === partition) ? second : first
  const owner = other === first ? second : first
  await owner[Symbol.asyncDispose]()
  expect(numbersOf(await take(other, 5))).toEqual([10, 11, 12, 13, 14])
})

describe('a member whose callback fails', () => {
  test('is told when it joins, and the others have its partitions', async () => {
    const { log } = connect(tempDir())
    const group = newGroup()
    const good = await join(log, { group, topics: [topic] })
    const bad = log.join({
      group,
      topics: [topic],
      from: 'beginning',
      onAssigned: () => Promise.reject(failure),
    })
    expect(await bad.catch((error: unknown) => error)).toBe(failure)
    expect(good.assigned()).toHaveLength(16)
  })

  test('is told by its poll when it has joined already', async () => {
    const { log } = connect(tempDir())
    const group = newGroup()
    const bad = await join(log, {
      group,
      topics: [topic],
      onRevoked: () => Promise.reject(failure),
    })
    const polled = bad.poll(1, never).catch((error: unknown) => error)
    const good = await join(log, { group, topics: [topic] })
    expect(await polled).toBe(failure)
    await until(() => good.assigned().length === 16)
  })
})

describe('retention', () => {
  test('deletes what is older than its topic keeps it, a little at a time, and says so', async () => {
    const { store, log } = connect(tempDir())
    const nowMs = 100 * dayMs
    const old = (of: string, count: number, ageMs: number) =>
      inOne(count).map((record) => ({ ...record, topic: of, timestamp: nowMs - ageMs }))
    await log.produce(old(topics.stream, 600, 7 * dayMs + 1))
    await log.produce(old(topics.stream, 5, 7 * dayMs))
    await log.produce(old(topics.chat, 4, 30 * dayMs + 1))
    await log.produce(old(topics.chat, 3, 30 * dayMs))
    const lots: number[] = []
    for (let lot = store.trim(nowMs); lot > 0; lot = store.trim(nowMs)) lots.push(lot)
    expect(lots.every((lot) => lot <= 256)).toBe(true)
    expect(await log.kept(topics.stream)).toContainEqual({
      topic: topics.stream,
      partition,
      from: 600,
      to: 605,
    })
    expect(await log.kept(topics.chat)).toContainEqual({
      topic: topics.chat,
      partition,
      from: 4,
      to: 7,
    })
    const left = await readAll(log, { topic, partition })
    expect(left.map(({ offset }) => offset)).toEqual([600, 601, 602, 603, 604])
    expect((await log.offsetsAt(topic, 0))[partition]?.offset).toBe(600)
  })

  test('of everything leaves the offsets where they were', async () => {
    const dataDir = tempDir()
    const [a, b] = [connect(dataDir), connect(dataDir, false)]
    await a.log.produce(inOne(200))
    while (b.store.trim(100 * dayMs) > 0);
    for (const { log } of [a, b]) {
      expect((await log.kept(topic))?.[partition]).toMatchObject({ from: 200, to: 200 })
      expect((await log.offsetsAt(topic, 0))[partition]?.offset).toBe(200)
    }
    await a.log.produce(inOne(1, 200))
    expect((await readAll(b.log, { topic, partition })).map(({ offset }) => offset)).toEqual([200])
  })

  test('stops at the first record that is young enough', async () => {
    const { store, log } = connect(tempDir())
    const ages = [9, 8, 1, 9, 9]
    await log.produce(
      ages.map((age) => ({
        topic,
        partition,
        key: null,
        value: bytes('x'),
        headers: [],
        timestamp: (100 - age) * dayMs,
      })),
    )
    while (store.trim(100 * dayMs) > 0);
    expect((await log.kept(topic))?.[partition]).toMatchObject({ from: 2, to: 5 })
  })
})

test('a checkpoint lets a WAL that has grown be written from its start again', async () => {
  const dataDir = tempDir()
  const { store, log } = connect(dataDir)
  const wal = joinPath(dataDir, 'sluice.sqlite-wal')
  const value = new Uint8Array(64 << 10)
  const write = async (lots: number) => {
    for (const _lot of upTo(lots)) {
      await log.produce(inOne(16).map((record) => ({ ...record, value })))
    }
  }
  await write(40)
  const { size } = statSync(wal)
  expect(size).toBeGreaterThan(40 << 20)
  // A reader that is in the middle of the log doesn't hold it up.
  const pages = log.read({ topic, partition, from: 0, to: 640 }, never)[Symbol.asyncIterator]()
  await pages.next()
  store.checkpoint()
  await write(20)
  expect(statSync(wal).size).toBe(size)
  const rest = (await Array.fromAsync({ [Symbol.asyncIterator]: () => pages })).flat()
  expect(rest.at(-1)?.offset).toBe(639)
  expect(await readAll(log, { topic, partition })).toHaveLength(960)
})

test('a WAL that nobody adds to is moved into the file however short it is', async () => {
  const { store, log } = connect(tempDir())
  const waiting = () => {
    const [, pages = 0, moved = 0] = store.db
      .query('PRAGMA wal_checkpoint(NOOP)')
      .values()[0] as number[]
    return pages - moved
  }
  await log.produce(inOne(10))
  store.checkpoint()
  await log.produce(inOne(10))
  store.checkpoint()
  expect(waiting()).toBeGreaterThan(0)
  store.checkpoint()
  expect(waiting()).toBe(0)
})
