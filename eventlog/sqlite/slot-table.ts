import type { Database } from 'bun:sqlite'

export type RecordRow = [
  offset: number,
  timestamp: number,
  headers: Uint8Array,
  key: Uint8Array | null,
  value: Uint8Array | null,
]

const nameOf = (slot: number) => `log_records_${slot}`

/** Only inside a transaction. */
export function makeSlotTable(db: Database, slot: number): void {
  // A tree of its own for each partition, for then appends go to its end, which splits no page: half the pages to write.
  // The timestamp comes first, so that a search by time reads no page of a long value.
  db.run(`CREATE TABLE ${nameOf(slot)} (
    offset INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, headers BLOB NOT NULL, key BLOB, value BLOB
  )`)
}

/** The records of one partition. */
export class SlotTable {
  readonly #insert
  readonly #page
  readonly #last
  readonly #latest
  readonly #firstSince
  readonly #delete

  constructor(db: Database, slot: number) {
    const table = nameOf(slot)
    this.#insert = db.prepare(
      `INSERT INTO ${table} (offset, timestamp, headers, key, value) VALUES (?, ?, ?, ?, ?)`,
    )
    this.#page = db.prepare(
      `SELECT offset, timestamp, headers, key, value FROM ${table}
       WHERE offset >= ? AND offset < ? ORDER BY offset LIMIT ?`,
    )
    this.#last = db.prepare(`SELECT offset FROM ${table} ORDER BY offset DESC LIMIT 1`)
    this.#latest = db.prepare(`SELECT max(timestamp) FROM ${table} WHERE offset >= ?`)
    this.#firstSince = db.prepare(
      `SELECT offset FROM ${table} WHERE offset >= ? AND timestamp >= ? ORDER BY offset LIMIT 1`,
    )
    this.#delete = db.prepare(`DELETE FROM ${table} WHERE offset < ?`)
  }

  insert(...row: RecordRow): void {
    this.#insert.run(...row)
  }

  page(from: number, to: number, limit: number): RecordRow[] {
    return this.#page.values(from, to, limit) as RecordRow[]
  }

  last(): number | undefined {
    return this.#last.values()[0]?.[0] as number | undefined
  }

  /** The latest timestamp from an offset on; null when there is no record. */
  latest(from: number): number | null {
    return (this.#latest.values(from)[0]?.[0] as number | null | undefined) ?? null
  }

  /** Looks at each record from `from` on. */
  firstSince(from: number, atMs: number): number | undefined {
    return this.#firstSince.values(from, atMs)[0]?.[0] as number | undefined
  }

  deleteBefore(offset: number): void {
    this.#delete.run(offset)
  }
}
