import type { Database } from 'bun:sqlite'

/** Every so many records of a partition there is a row to find a time by. */
export const timesEvery = 128

// A partition has a slot, those of a topic one after the other, and a slot has a table of records (`slot-table.ts`).
const tables = [
  `CREATE TABLE IF NOT EXISTS log_topics (
    name TEXT PRIMARY KEY, first_slot INTEGER NOT NULL, partitions INTEGER NOT NULL
  ) WITHOUT ROWID`,
  // No record of the slot up to offset_to has a later timestamp than latest.
  `CREATE TABLE IF NOT EXISTS log_times (
    slot INTEGER NOT NULL, latest INTEGER NOT NULL, offset_to INTEGER NOT NULL,
    PRIMARY KEY (slot, latest, offset_to)
  ) WITHOUT ROWID`,
  // First kept offsets; no row: 0.
  'CREATE TABLE IF NOT EXISTS log_starts (slot INTEGER PRIMARY KEY, first INTEGER NOT NULL)',
  `CREATE TABLE IF NOT EXISTS log_groups (
    group_id TEXT NOT NULL, slot INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_id, slot)
  ) WITHOUT ROWID`,
]

export function makeTables(db: Database): void {
  for (const table of tables) db.run(table)
}
