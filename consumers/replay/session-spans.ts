import type { Kept, Position } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import type { Range } from './merge.ts'

/** Where the audit says that an event of the session stands. */
export interface IndexedEvent extends Position {
  eventType: string
}

// A seek costs more than reading so many records of other sessions.
const joinMax = 200
const endings: ReadonlySet<string> = new Set([
  'STREAM_COMPLETED',
  'STREAM_CANCELLED',
  'STREAM_ERROR',
])

/**
 * The offsets that hold all of a session: its indexed events, what stands between the start of an answer and its end (the
 * chunks, which nobody indexes), and everything from where the audit is now.
 */
export function spansOf(
  indexed: readonly IndexedEvent[],
  kept: readonly Kept[],
  audited: readonly Position[],
): Range[] {
  return kept.flatMap((range) => {
    const { topic, partition, from, to } = range
    const isHere = (at: { topic: string; partition: number }) =>
      at.topic === topic && at.partition === partition
    const told = Math.max(from, Math.min(to, audited.find(isHere)?.offset ?? from))
    const spans = indexedSpans(indexed.filter(isHere), told)
    if (told < to) spans.push({ from: told, to })
    return joined(spans)
      .map((span) => ({
        topic,
        partition,
        from: Math.max(from, span.from),
        to: Math.min(to, span.to),
      }))
      .filter((span) => span.from < span.to)
  })
}

/** From the session's first event that is indexed to the end: for steps that stand where nobody would look. */
export function wideSpans(indexed: readonly IndexedEvent[], kept: readonly Kept[]): Range[] {
  return kept.flatMap(({ topic, partition, from, to }) => {
    const offsets = indexed
      .filter((at) => at.topic === topic && at.partition === partition)
      .map(({ offset }) => offset)
    if (offsets.length === 0) return []
    return [{ topic, partition, from: Math.max(from, Math.min(...offsets)), to }]
  })
}

interface Span {
  from: number
  to: number
}

function indexedSpans(indexed: IndexedEvent[], told: number): Span[] {
  const spans: Span[] = []
  let openedAt: number | null = null
  for (const { topic, eventType, offset } of indexed.toSorted((a, b) => a.offset - b.offset)) {
    spans.push({ from: offset, to: offset + 1 })
    if (topic !== topics.stream) continue
    const isStart = eventType === 'STREAM_STARTED'
    if (openedAt !== null && (isStart || endings.has(eventType))) {
      spans.push({ from: openedAt, to: offset + 1 })
      openedAt = null
    }
    if (isStart) openedAt = offset
  }
  if (openedAt !== null) spans.push({ from: openedAt, to: told })
  return spans
}

function joined(spans: Span[]): Span[] {
  const joint: Span[] = []
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const last = joint.at(-1)
    if (last !== undefined && span.from <= last.to + joinMax) last.to = Math.max(last.to, span.to)
    else joint.push({ ...span })
  }
  return joint
}
