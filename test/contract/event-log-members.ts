import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { EventLog, Membership, Partition } from '#eventlog/event-log.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import {
  type EventLogAdapter,
  join,
  type MakeAdapter,
  never,
  newGroup,
  numbered,
  numbersOf,
  placeOf,
  sorted,
  take,
  upTo,
} from './event-log-adapter.ts'

/** Several members of a group. */
export function membersContract(makeAdapter: MakeAdapter): void {
  let adapter: EventLogAdapter
  let log: EventLog
  beforeAll(async () => {
    adapter = await makeAdapter()
    log = adapter.log
  })
  afterAll(() => adapter[Symbol.asyncDispose]())

  const partitionsOf = (member: Membership) => member.assigned().map(placeOf)

  /** Waits until the members have all of a topic's partitions, evenly, each exactly one owner. */
  const shared = (members: Membership[], count: number) =>
    until(
      () => {
        const all = members.flatMap(partitionsOf)
        const sizes = members.map((member) => member.assigned().length)
        const isEven = Math.max(...sizes) - Math.min(...sizes) <= 1
        return all.length === count && new Set(all).size === count && isEven
      },
      { timeoutMs: 8_000, what: 'partitions are shared evenly' },
    )

  describe('members of a group', () => {
    test('share its partitions evenly, and each record is of one of them', async () => {
      const topic = await adapter.makeTopic(6)
      const group = newGroup()
      const members = [
        await join(log, { group, topics: [topic] }),
        await join(log, { group, topics: [topic] }),
        await join(log, { group, topics: [topic] }),
      ]
      await shared(members, 6)
      const found: number[] = []
      const stop = new AbortController()
      const polling = members.map(async (member) => {
        while (!stop.signal.aborted) found.push(...numbersOf(await member.poll(50, stop.signal)))
      })
      await log.produce(numbered(topic, 200))
      await until(() => found.length >= 200)
      stop.abort()
      await Promise.all(polling)
      expect(sorted(found)).toEqual(upTo(200))
    })

    test('may be more than there are partitions', async () => {
      const topic = await adapter.makeTopic(1)
      const group = newGroup()
      const members = [
        await join(log, { group, topics: [topic] }),
        await join(log, { group, topics: [topic] }),
      ]
      await shared(members, 1)
    })

    test('are given only partitions of topics that they asked for', async () => {
      const [a, b] = [await adapter.makeTopic(2), await adapter.makeTopic(2)]
      const group = newGroup()
      const both = await join(log, { group, topics: [a, b] })
      const one = await join(log, { group, topics: [b] })
      await shared([both, one], 4)
      expect(one.assigned().every(({ topic }) => topic === b)).toBe(true)
    })

    test('take over from what one that leaves has committed', async () => {
      const topic = await adapter.makeTopic(2)
      const group = newGroup()
      await log.produce(numbered(topic, 40).map((record, at) => ({ ...record, partition: at % 2 })))
      const first = await join(log, { group, topics: [topic] })
      await take(first, 40)
      await first.commit([
        { topic, partition: 0, offset: 15 },
        { topic, partition: 1, offset: 12 },
      ])
      const second = await join(log, { group, topics: [topic] })
      await shared([first, second], 2)
      await first[Symbol.asyncDispose]()
      await until(() => second.assigned().length === 2, { timeoutMs: 8_000 })
      const expected = [
        ...upTo(20)
          .slice(15)
          .map((n) => 2 * n),
        ...upTo(20)
          .slice(12)
          .map((n) => 2 * n + 1),
      ]
      expect(sorted(numbersOf(await take(second, expected.length)))).toEqual(sorted(expected))
    })

    test('get a partition only after the one before has given it up', async () => {
      const topic = await adapter.makeTopic(4)
      const group = newGroup()
      const owners = new Map<string, string>()
      const clashes: string[] = []
      const callbacks = (name: string) => ({
        onAssigned: async (partitions: Partition[]) => {
          for (const place of partitions.map(placeOf)) {
            if (owners.has(place)) clashes.push(`${place}: ${owners.get(place)}, ${name}`)
            owners.set(place, name)
          }
          return []
        },
        onRevoked: async (partitions: Partition[]) => {
          // What is in hand is finished before the partition goes.
          await Bun.sleep(20)
          for (const place of partitions.map(placeOf)) owners.delete(place)
        },
      })
      const a = await join(log, { group, topics: [topic], ...callbacks('a') })
      const b = await join(log, { group, topics: [topic], ...callbacks('b') })
      await shared([a, b], 4)
      await a[Symbol.asyncDispose]()
      await shared([b], 4)
      expect(clashes).toEqual([])
      expect([...owners.values()]).toEqual(['b', 'b', 'b', 'b'])
    })

    test('may commit while they give a partition up, and not afterwards', async () => {
      const topic = await adapter.makeTopic(1)
      const group = newGroup()
      const place = { topic, partition: 0 }
      let member: Membership | null = null
      const joined = await join(log, {
        group,
        topics: [topic],
        onRevoked: async () => member?.commit([{ ...place, offset: 3 }]),
      })
      member = joined
      await until(() => joined.assigned().length === 1)
      await joined[Symbol.asyncDispose]()
      expect(await log.committed(group)).toEqual([{ ...place, offset: 3 }])
      const late = await joined.commit([{ ...place, offset: 1 }]).then(
        () => 'committed',
        () => 'refused',
      )
      expect(late).toBe('refused')
      expect(await log.committed(group)).toEqual([{ ...place, offset: 3 }])
    })

    test('come and go under traffic, and each record is handled once', async () => {
      const topic = await adapter.makeTopic(4)
      const group = newGroup()
      const handled: number[] = []
      const first = await worker(log, group, { topic, handled })
      for (let round = 0; round < 8; round += 1) {
        await log.produce(numbered(topic, 50, round * 50))
        const other = await worker(log, group, { topic, handled })
        await log.produce(numbered(topic, 50, 400 + round * 50))
        await until(() => handled.length > round * 60)
        await other.stop()
      }
      await until(() => handled.length >= 800, { timeoutMs: 8_000 })
      await first.stop()
      expect(sorted(handled)).toEqual(upTo(800))
    })

    test('have left once they are disposed of', async () => {
      const topic = await adapter.makeTopic(1)
      const member = await log.join({ group: newGroup(), topics: [topic], from: 'beginning' })
      const polled = member.poll(1, never).then(
        () => 'answered',
        () => 'refused',
      )
      await member[Symbol.asyncDispose]()
      expect(await polled).toBe('refused')
      expect(member.assigned()).toEqual([])
      await member[Symbol.asyncDispose]()
    })
  })
}

/** Handles what it polls, and commits it before it gives a partition up. */
async function worker(
  log: EventLog,
  group: string,
  { topic, handled }: { topic: string; handled: number[] },
): Promise<{ stop(): Promise<void> }> {
  const stopping = new AbortController()
  const done = new Map<number, number>()
  let member: Membership | null = null
  const commit = (partitions: Partition[]) => {
    const positions = partitions.flatMap(({ partition }) => {
      const offset = done.get(partition)
      done.delete(partition)
      return offset === undefined ? [] : [{ topic, partition, offset }]
    })
    return member?.commit(positions)
  }
  const joined = await log.join({
    group,
    topics: [topic],
    from: 'beginning',
    onRevoked: async (partitions) => commit(partitions),
  })
  member = joined
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      for (const batch of await joined.poll(9, stopping.signal)) {
        // Given up since the poll was answered: its next owner reads it again.
        if (!joined.assigned().some((place) => placeOf(place) === placeOf(batch))) continue
        handled.push(...numbersOf([batch]))
        done.set(batch.partition, (batch.records.at(-1)?.offset ?? 0) + 1)
      }
    }
  })()
  const stop = async () => {
    stopping.abort()
    await loop
    await joined[Symbol.asyncDispose]()
  }
  atEnd(stop)
  return { stop }
}
