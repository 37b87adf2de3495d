import type { EventLog, Kept, LogRecord } from '#eventlog/event-log.ts'
import type { Range } from './merge.ts'
import type { RecordCursor } from './params.ts'

// A record's time is its event's, so one that waited in an outbox stands behind later ones: by how much at most.
const lateMaxMs = 24 * 3_600_000

export interface Window {
  fromMs: number | null
  toMs: number | null
}

/** The offsets of each partition that may hold records of the window, up to the ends as they are in `kept`. */
export async function rangesOf(
  eventLog: EventLog,
  topic: string,
  kept: Kept[],
  window: Window,
): Promise<Range[]> {
  const firsts = window.fromMs === null ? null : await offsetsAt(eventLog, topic, window.fromMs)
  const lasts =
    window.toMs === null ? null : await offsetsAt(eventLog, topic, window.toMs + lateMaxMs)
  return kept.map(({ partition, from, to }) => ({
    topic,
    partition,
    from: Math.max(from, Math.min(to, firsts?.get(partition) ?? from)),
    to: Math.min(to, lasts?.get(partition) ?? to),
  }))
}

/** What is left of the ranges behind a record that the caller already has. */
export async function rangesAfter(
  eventLog: EventLog,
  topic: string,
  ranges: Range[],
  cursor: RecordCursor,
  signal: AbortSignal,
): Promise<Range[]> {
  const record = await readOne(eventLog, topic, cursor, signal)
  // Not in the log: from the start again, for a duplicate can be told and a hole cannot.
  if (record === null) return ranges
  const latestMs = await latestAt(eventLog, topic, record)
  const [before, behind] = await Promise.all([
    offsetsAt(eventLog, topic, latestMs + 1),
    offsetsAt(eventLog, topic, latestMs),
  ])
  return ranges.map((range) => {
    const { partition, from, to } = range
    if (partition === cursor.partition) {
      return { ...range, from: Math.max(from, Math.min(to, cursor.offset + 1)), latestMs }
    }
    const first = (partition < cursor.partition ? before : behind).get(partition) ?? from
    return { ...range, from: Math.max(from, Math.min(to, first)) }
  })
}

/** The latest time that the record's partition shows up to it: its own, unless times go back. */
async function latestAt(eventLog: EventLog, topic: string, record: LogRecord): Promise<number> {
  const isReached = async (atMs: number) => {
    const first = (await offsetsAt(eventLog, topic, atMs)).get(record.partition)
    return first !== undefined && first <= record.offset
  }
  let low = record.timestamp
  let step = 1
  while (await isReached(low + step)) {
    low += step
    step *= 2
  }
  for (; step >= 1; step = Math.floor(step / 2)) {
    if (await isReached(low + step)) low += step
  }
  return low
}

async function readOne(
  eventLog: EventLog,
  topic: string,
  { partition, offset }: RecordCursor,
  signal: AbortSignal,
): Promise<LogRecord | null> {
  const range = { topic, partition, from: offset, to: offset + 1 }
  for await (const page of eventLog.read(range, signal)) {
    const record = page.find((candidate) => candidate.offset === offset)
    if (record !== undefined) return record
  }
  return null
}

async function offsetsAt(
  eventLog: EventLog,
  topic: string,
  atMs: number,
): Promise<Map<number, number>> {
  const positions = await eventLog.offsetsAt(topic, atMs)
  return new Map(positions.map(({ partition, offset }) => [partition, offset]))
}
