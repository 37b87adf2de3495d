import type { Database } from 'bun:sqlite'

/** How far the groups are. */
export class GroupOffsets {
  readonly #select
  readonly #upsert
  readonly #names

  constructor(db: Database) {
    this.#select = db.prepare('SELECT slot, next_offset FROM log_groups WHERE group_id = ?')
    this.#upsert = db.prepare(
      `INSERT INTO log_groups (group_id, slot, next_offset) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset`,
    )
    this.#names = db.prepare('SELECT DISTINCT group_id FROM log_groups ORDER BY group_id')
  }

  /** Slot → the next offset to be read. */
  of(group: string): Map<number, number> {
    return new Map(this.#select.values(group) as [number, number][])
  }

  /** Only inside a transaction. */
  set(group: string, slot: number, offset: number): void {
    this.#upsert.run(group, slot, offset)
  }

  groups(): string[] {
    return this.#names.values().map(([name]) => String(name))
  }
}
