import type { EventLog, Kept, LogRecord } from '#eventlog/event-log.ts'
import { eventTypeOf } from '#events/codec.ts'
import type { Erasures } from './erasures.ts'
import { Merge, type Range } from './merge.ts'
import type { Outgoing, Replay, ReplayEnd } from './replay.ts'
import { typeOf } from './replay.ts'
import {
  type Replayed,
  type ReplayedEvent,
  replayedOf,
  textField,
  toReplayedEvent,
} from './replayed.ts'
import type { Window } from './topic-ranges.ts'

export interface MissingOffsets {
  partition: number
  from: number
  to: number
}

export interface Filter {
  window: Window
  eventType: string | null
  sessionId: string | null
  userId: string | null
  tenantId: string
  /** Sees what names no tenant, too: broken records. */
  isOperator: boolean
}

interface TopicReplayInput {
  eventLog: EventLog
  erasures: Erasures
  ranges: Range[]
  kept: Kept[]
  missing: MissingOffsets[]
  filter: Filter
  /** How many events are looked up together: few when they leave slowly, so that an erasure counts soon. */
  lot: number
  signal: AbortSignal
}

export function topicReplay(input: TopicReplayInput): Replay {
  const { missing, kept, ranges, eventLog, signal } = input
  const merge = new Merge(eventLog, ranges, {
    signal,
    async onHole({ topic, partition, from, to }) {
      // Only what retention took while this was under way; other holes are the log's own.
      const left = (await eventLog.kept(topic))?.find((at) => at.partition === partition)
      const end = Math.min(to, left?.from ?? to)
      if (end > from) missing.push({ partition, from, to: end })
    },
  })
  const lot: Lot = { events: [], at: 0 }
  const end = (): ReplayEnd => ({ complete: missing.length === 0, missing })
  return {
    events: eventsOf(merge, lot, input),
    end,
    body: (events, rest) => ({
      events,
      count: events.length,
      truncated: rest !== null,
      ...(missing.length > 0 && { missing }),
      ...(rest !== null && { next: nextOf(merge, lot) }),
      ends: Object.fromEntries(kept.map(({ partition, to }) => [partition, to])),
    }),
  }
}

/** Events read together, and which of them is on its way. */
interface Lot {
  events: Replayed[]
  at: number
}

/** Where each partition goes on: at the first event that nobody was given. */
function nextOf(merge: Merge, { events, at }: Lot): Record<string, number> {
  const next = merge.positions
  for (const { record } of events.slice(at).reverse()) next.set(record.partition, record.offset)
  return Object.fromEntries(next)
}

async function* eventsOf(
  merge: Merge,
  current: Lot,
  input: TopicReplayInput,
): AsyncGenerator<Outgoing> {
  const { filter, erasures, signal } = input
  try {
    for (let record: LogRecord | null = await merge.next(); record !== null; ) {
      const matching: Replayed[] = []
      while (record !== null && matching.length < input.lot) {
        const replayed = matches(record, filter)
        if (replayed !== null) matching.push(replayed)
        record = await merge.next()
      }
      const isShown = await erasures.check(matching)
      current.events = matching
      for (const [at, replayed] of matching.entries()) {
        signal.throwIfAborted()
        current.at = at
        yield outgoing(replayed, toReplayedEvent(replayed, isShown(replayed)))
      }
    }
  } finally {
    await merge.close()
  }
}

function outgoing({ record }: Replayed, event: ReplayedEvent): Outgoing {
  const id = `${record.partition}:${record.offset}`
  return { type: typeOf(event), id, timeMs: record.timestamp, event }
}

/** The record read, when the filter lets it through; else null. */
export function matches(record: LogRecord, filter: Filter): Replayed | null {
  const { fromMs, toMs } = filter.window
  if (fromMs !== null && record.timestamp < fromMs) return null
  if (toMs !== null && record.timestamp >= toMs) return null
  const { eventType, sessionId, userId } = filter
  const told = eventType === null ? null : eventTypeOf(record)
  if (typeof told === 'string' && told !== eventType) return null
  if (!mayHold(record, sessionId) || !mayHold(record, userId)) return null
  const replayed = replayedOf(record)
  const { event } = replayed
  const tenantId = textField(event, 'tenantId')
  if (tenantId === null ? !filter.isOperator : tenantId !== filter.tenantId) return null
  if (eventType !== null && textField(event, 'eventType') !== eventType) return null
  if (sessionId !== null && textField(event, 'sessionId') !== sessionId) return null
  if (userId !== null && textField(event, 'userId') !== userId) return null
  return replayed
}

/** Looks at the bytes, for most records of a log are of other people. */
function mayHold({ value }: LogRecord, text: string | null): boolean {
  if (text === null) return true
  if (value === null) return false
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  // An escape may spell any of its letters.
  return bytes.includes(text) || bytes.includes('\\u') || bytes.includes('\\/')
}
