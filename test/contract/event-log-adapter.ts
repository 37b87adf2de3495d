import { randomUUID } from 'node:crypto'
import type {
  Batch,
  EventLog,
  JoinOptions,
  LogRecord,
  Membership,
  NewRecord,
  Partition,
} from '#eventlog/event-log.ts'
import { atEnd } from '../support/tracker.ts'

/** An event log under test. */
export interface EventLogAdapter extends AsyncDisposable {
  log: EventLog
  /** A topic of nobody else; answers its name. */
  makeTopic(partitions: number): Promise<string>
}

export type MakeAdapter = () => Promise<EventLogAdapter>

export const bytes = (text: string) => new TextEncoder().encode(text)
export const text = (value: Uint8Array | null) =>
  value === null ? null : new TextDecoder().decode(value)
export const never = new AbortController().signal
export const newGroup = () => `group-${randomUUID()}`
export const placeOf = ({ topic, partition }: Partition) => `${topic}/${partition}`

/** Records whose values are the numbers from `first`, with keys `key-0` to `key-6` in turn. */
export function numbered(topic: string, count: number, first = 0): NewRecord[] {
  return Array.from({ length: count }, (_, at) => ({
    topic,
    key: bytes(`key-${(first + at) % 7}`),
    value: bytes(String(first + at)),
    headers: [],
    timestamp: 1_000 + first + at,
  }))
}

export const numberOf = ({ value }: LogRecord) => Number(text(value))
export const numbersOf = (batches: Batch[]) =>
  batches.flatMap(({ records }) => records.map(numberOf))
export const upTo = (count: number) => Array.from({ length: count }, (_, at) => at)
export const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b)

/** A member that leaves at the end of the test. */
export async function join(log: EventLog, options: Partial<JoinOptions>): Promise<Membership> {
  const membership = await log.join({
    group: newGroup(),
    topics: [],
    from: 'beginning',
    ...options,
  })
  atEnd(async () => membership[Symbol.asyncDispose]())
  return membership
}

/** Polls until there are so many records; fails when they don't come. */
export async function take(membership: Membership, count: number, max = 100): Promise<Batch[]> {
  const signal = AbortSignal.timeout(8_000)
  const batches: Batch[] = []
  let taken = 0
  while (taken < count) {
    const polled = await membership.poll(max, signal)
    if (polled.length === 0) throw new Error(`${taken} of ${count} records came`)
    batches.push(...polled)
    taken = numbersOf(batches).length
  }
  return batches
}

/** What is there for the member now: polls until nothing more comes for a moment. */
export async function drain(membership: Membership, idleMs = 80): Promise<number[]> {
  const numbers: number[] = []
  for (;;) {
    const batches = await membership.poll(100, AbortSignal.timeout(idleMs))
    if (batches.length === 0) return numbers
    numbers.push(...numbersOf(batches))
  }
}

export async function readAll(log: EventLog, partition: Partition, from = 0): Promise<LogRecord[]> {
  const range = { ...partition, from, to: Number.MAX_SAFE_INTEGER }
  return (await Array.fromAsync(log.read(range, never))).flat()
}

export async function endsOf(log: EventLog, topic: string): Promise<number[]> {
  return ((await log.kept(topic)) ?? []).map(({ to }) => to)
}

/** Lets a poll that has begun come to where it waits. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
