import { Coverage } from '../coverage.ts'
import { type Replayed, stepOfEvent, textField } from './replayed.ts'

export interface MissingSteps {
  epoch: number
  fromSeq: number
  toSeq: number
}

/** A step that is known to have been, though no record of it may be left. */
export interface KnownStep {
  epoch: number
  seq: number
}

// Events of one step share its number; this is the order in which they make sense.
const ranks: Record<string, number> = {
  SESSION_STARTED: 0,
  STREAM_STARTED: 2,
  CHUNK_RECEIVED: 3,
  STREAM_COMPLETED: 4,
  STREAM_CANCELLED: 4,
  STREAM_ERROR: 4,
  HISTORY_ERASED: 6,
}

interface Stepped {
  replayed: Replayed
  epoch: number
  seq: number
  rank: number
  timeMs: number
}

/** Each event once, by `(epoch, seq)`; those of no step by time between them. */
export function inOrder(all: Replayed[]): Replayed[] {
  const stepped: Stepped[] = []
  const free: { replayed: Replayed; timeMs: number }[] = []
  for (const replayed of firsts(all)) {
    const step = replayed.event === null ? null : stepOfEvent(replayed.event)
    const timeMs = timeOf(replayed)
    if (step === null) free.push({ replayed, timeMs })
    else
      stepped.push({ replayed, timeMs, rank: rankOf(replayed), epoch: step.epoch, seq: step.seq })
  }
  stepped.sort((a, b) => a.epoch - b.epoch || a.seq - b.seq || a.rank - b.rank)
  free.sort((a, b) => a.timeMs - b.timeMs)
  const ordered: Replayed[] = []
  let next = 0
  for (const { replayed, timeMs } of stepped) {
    for (let at = free[next]; at !== undefined && at.timeMs < timeMs; at = free[next]) {
      ordered.push(at.replayed)
      next += 1
    }
    ordered.push(replayed)
  }
  return [...ordered, ...free.slice(next).map(({ replayed }) => replayed)]
}

/** The steps that none of the records tells: from 1 to the last that is known, in every epoch. */
export function missingSteps(all: Replayed[], known: KnownStep[]): MissingSteps[] {
  const epochs = new Map<number, { covered: Coverage; top: number }>()
  const of = (epoch: number) => {
    const seen = epochs.get(epoch) ?? { covered: new Coverage(), top: 0 }
    epochs.set(epoch, seen)
    return seen
  }
  const reach = (step: KnownStep) => {
    const seen = of(step.epoch)
    seen.top = Math.max(seen.top, step.seq)
  }
  for (const { event } of all) {
    const step = event === null ? null : stepOfEvent(event)
    if (event === null || step === null) continue
    of(step.epoch).covered.add(step.fromSeq, step.seq)
    reach(step)
    const previous = event['previous']
    const before =
      typeof previous === 'object' && previous !== null
        ? stepOfEvent(previous as Record<string, unknown>)
        : null
    if (before !== null) reach(before)
  }
  for (const step of known) reach(step)
  return [...epochs]
    .sort(([a], [b]) => a - b)
    .flatMap(([epoch, { covered, top }]) =>
      covered.missing(1, top).map((run) => ({ epoch, fromSeq: run.from, toSeq: run.to })),
    )
}

/** Only `eventId` tells a duplicate; the first in its topic stands. */
function firsts(all: Replayed[]): Replayed[] {
  const seen = new Set<string>()
  return all.filter(({ event }) => {
    const eventId = textField(event, 'eventId')
    if (eventId === null) return true
    const isFirst = !seen.has(eventId)
    seen.add(eventId)
    return isFirst
  })
}

function rankOf({ event }: Replayed): number {
  if (event?.['eventType'] === 'CHAT_MESSAGE') return event['role'] === 'user' ? 1 : 5
  return ranks[textField(event, 'eventType') ?? ''] ?? 7
}

function timeOf({ event, record }: Replayed): number {
  const told = Date.parse(textField(event, 'timestamp') ?? '')
  return Number.isNaN(told) ? record.timestamp : told
}
