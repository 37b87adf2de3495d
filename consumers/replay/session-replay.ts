import type { Database } from '#db/client.ts'
import { findSessionOffsets } from '#db/queries/find-session-offsets.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'
import type { EventLog, Kept } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import { groups } from '../groups.ts'
import { Erasures } from './erasures.ts'
import type { Range } from './merge.ts'
import type { Outgoing, Replay } from './replay.ts'
import { typeOf } from './replay.ts'
import { ReplayError } from './replay-error.ts'
import { type Replayed, toReplayedEvent } from './replayed.ts'
import { inOrder, type MissingSteps, missingSteps } from './session-order.ts'
import { spansOf, wideSpans } from './session-spans.ts'
import { type Filter, matches } from './topic-replay.ts'

interface SessionReplayInput {
  eventLog: EventLog
  database: Database
  sessionId: string
  tenantId: string
  /** The `id` of the last event that the caller has. */
  after: string | null
  /** How many events are looked up together. */
  lot: number
  signal: AbortSignal
}

const readersMax = 8

/** Every event of the session over both topics as of now. Throws `not_found` when neither log nor audit knows it. */
export async function sessionReplay(input: SessionReplayInput): Promise<Replay> {
  const { eventLog, database, sessionId, tenantId } = input
  const kept = [
    ...((await eventLog.kept(topics.stream)) ?? []),
    ...((await eventLog.kept(topics.chat)) ?? []),
  ]
  // Before the index is read: what the audit adds between the two is then read twice, not missed.
  const audited = await readOffsets(database.db, groups.audit)
  const indexed = await findSessionOffsets(database.db, { tenantId, sessionId })
  const found = new Map<string, Replayed>()
  await collect(input, spansOf(indexed, kept, audited), found)
  if (found.size === 0 && indexed.length === 0) {
    throw new ReplayError('not_found', 'no such session')
  }
  const known = indexed.flatMap(({ epoch, seq }) =>
    epoch === null || seq === null ? [] : [{ epoch, seq }],
  )
  if (missingSteps([...found.values()], known).length > 0 && !isCutOff(indexed, kept)) {
    await collect(input, wideSpans(indexed, kept), found)
  }
  const events = inOrder([...found.values()].sort(byPlace))
  const missing = missingSteps([...found.values()], known)
  return replayOf(input, events, missing)
}

/** Retention has taken some of it: what is missing need not be looked for. */
function isCutOff(
  indexed: readonly { topic: string; partition: number; offset: number }[],
  kept: Kept[],
) {
  return indexed.some(({ topic, partition, offset }) =>
    kept.some((at) => at.topic === topic && at.partition === partition && offset < at.from),
  )
}

async function collect(
  input: SessionReplayInput,
  ranges: Range[],
  found: Map<string, Replayed>,
): Promise<void> {
  const { sessionId, tenantId, eventLog, signal } = input
  const filter: Filter = {
    window: { fromMs: null, toMs: null },
    eventType: null,
    userId: null,
    sessionId,
    tenantId,
    isOperator: false,
  }
  const waiting = [...ranges]
  const reader = async () => {
    for (let range = waiting.shift(); range !== undefined; range = waiting.shift()) {
      for await (const page of eventLog.read(range, signal)) {
        signal.throwIfAborted()
        for (const record of page) {
          const replayed = matches(record, filter)
          if (replayed === null) continue
          found.set(`${record.topic}/${record.partition}:${record.offset}`, replayed)
        }
      }
    }
  }
  await Promise.all(Array.from({ length: readersMax }, reader))
}

function byPlace({ record: a }: Replayed, { record: b }: Replayed): number {
  return a.topic < b.topic ? 1 : a.topic > b.topic ? -1 : a.offset - b.offset
}

function replayOf(input: SessionReplayInput, ordered: Replayed[], missing: MissingSteps[]): Replay {
  const at = ordered.findIndex((replayed) => idOf(replayed) === input.after)
  const events = ordered.slice(at + 1)
  const isComplete = missing.length === 0
  return {
    events: eventsOf(input, events),
    end: () => ({ complete: isComplete, missing }),
    body: (shown, rest) => ({
      sessionId: input.sessionId,
      events: shown,
      count: shown.length,
      complete: isComplete,
      ...(!isComplete && { missing }),
      ...(rest !== null && { truncated: true, next: idOf(events[shown.length - 1]) }),
    }),
  }
}

async function* eventsOf(input: SessionReplayInput, events: Replayed[]): AsyncGenerator<Outgoing> {
  const { eventLog, database, lot, signal } = input
  const erasures = await Erasures.read(eventLog, database, signal)
  for (let from = 0; from < events.length; from += lot) {
    const some = events.slice(from, from + lot)
    const isShown = await erasures.check(some)
    for (const replayed of some) {
      signal.throwIfAborted()
      const event = toReplayedEvent(replayed, isShown(replayed))
      yield { type: typeOf(event), id: idOf(replayed), timeMs: timeOf(replayed), event }
    }
  }
}

/**
 * `<partition>:<offset>`. Both topics of a session have the same partition and may have the same offset, and an id must
 * name one record for a resume to be exact: offsets of `chat-events` are written with a leading zero.
 */
function idOf(replayed: Replayed | undefined): string | null {
  if (replayed === undefined) return null
  const { topic, partition, offset } = replayed.record
  return `${partition}:${topic === topics.chat ? '0' : ''}${offset}`
}

function timeOf({ record }: Replayed): number {
  return record.timestamp
}
