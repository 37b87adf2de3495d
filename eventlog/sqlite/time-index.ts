import type { Database } from 'bun:sqlite'

/** By slot: up to which offset no record is later than a time. Sparse, and both columns only grow within a slot. */
export class TimeIndex {
  readonly #insert
  readonly #last
  readonly #before
  readonly #delete

  constructor(db: Database) {
    this.#insert = db.prepare('INSERT INTO log_times (slot, latest, offset_to) VALUES (?, ?, ?)')
    this.#last = db.prepare(
      'SELECT latest, offset_to FROM log_times WHERE slot = ? ORDER BY latest DESC, offset_to DESC LIMIT 1',
    )
    this.#before = db.prepare(
      `SELECT offset_to FROM log_times WHERE slot = ? AND latest < ?
       ORDER BY latest DESC, offset_to DESC LIMIT 1`,
    )
    this.#delete = db.prepare(
      'DELETE FROM log_times WHERE slot = ? AND latest < ? AND offset_to < ?',
    )
  }

  add(slot: number, latest: number, offsetTo: number): void {
    this.#insert.run(slot, latest, offsetTo)
  }

  last(slot: number): { latest: number; offsetTo: number } | null {
    const row = this.#last.values(slot)[0] as [number, number] | undefined
    return row === undefined ? null : { latest: row[0], offsetTo: row[1] }
  }

  /** Every record up to the answer is earlier than `atMs`; -1 when none is known to be. */
  before(slot: number, atMs: number): number {
    return (this.#before.values(slot, atMs)[0]?.[0] as number | undefined) ?? -1
  }

  /** Of records before `offset`, which are earlier than `atMs`. */
  delete(slot: number, atMs: number, offset: number): void {
    this.#delete.run(slot, atMs, offset)
  }
}
