import { retentionMsOf } from '#events/topics.ts'
import type { RecordTable } from './record-table.ts'
import type { Place } from './topic-table.ts'

// Writers of other threads wait while it deletes.
const deletedAtOnce = 256

/** Whether a partition has records that are older than its topic keeps them. */
export function isTrimDue(records: RecordTable, place: Place, nowMs: number): boolean {
  const { from, to } = records.kept(place.slot)
  return from < to && records.offsetAt(place.slot, nowMs - retentionMsOf(place.topic)) > from
}

/** Only inside a transaction. Deletes the oldest, at most `deletedAtOnce`; answers how many. */
export function trimSome(records: RecordTable, { topic, slot }: Place, nowMs: number): number {
  const cutoffMs = nowMs - retentionMsOf(topic)
  const { from } = records.kept(slot)
  const to = Math.min(records.offsetAt(slot, cutoffMs), from + deletedAtOnce)
  records.deleteBefore(slot, to, cutoffMs)
  return to - from
}
