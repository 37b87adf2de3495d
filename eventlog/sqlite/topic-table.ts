import type { Database } from 'bun:sqlite'
import { partitionsDefault } from '#events/topics.ts'
import type { Partition } from '../event-log.ts'
import { makeSlotTable } from './slot-table.ts'

export interface TopicEntry {
  name: string
  firstSlot: number
  partitions: number
}

/** A partition and the slot of its records. */
export interface Place extends Partition {
  slot: number
}

const partitionsMax = 1_024
// Each is a table.
const slotsMax = 8_192

/** The topics, and which slots their partitions have. Partitions of a topic never change. */
export class TopicTable {
  readonly #db: Database
  readonly #select
  readonly #insert
  readonly #entries = new Map<string, TopicEntry>()
  readonly partitions = new Map<string, number>()

  constructor(db: Database) {
    this.#db = db
    this.#select = db.prepare<[string, number, number], []>(
      'SELECT name, first_slot, partitions FROM log_topics ORDER BY first_slot',
    )
    this.#insert = db.prepare(
      'INSERT INTO log_topics (name, first_slot, partitions) VALUES (?, ?, ?)',
    )
    this.load()
  }

  /** Reads them again; answers whether there is another number of them than was known. */
  load(): boolean {
    const before = this.#entries.size
    this.#entries.clear()
    this.partitions.clear()
    for (const [name, firstSlot, partitions] of this.#select.values() as [
      string,
      number,
      number,
    ][]) {
      this.#entries.set(name, { name, firstSlot, partitions })
      this.partitions.set(name, partitions)
    }
    return this.#entries.size !== before
  }

  get(name: string): TopicEntry | undefined {
    return this.#entries.get(name)
  }

  all(): TopicEntry[] {
    return [...this.#entries.values()]
  }

  placesOf(name: string): Place[] {
    const entry = this.#entries.get(name)
    if (entry === undefined) return []
    return Array.from({ length: entry.partitions }, (_, partition) => ({
      topic: name,
      partition,
      slot: entry.firstSlot + partition,
    }))
  }

  /** Throws a `RangeError` when there is no such partition. */
  placeOf({ topic, partition }: Partition): Place {
    const entry = this.#entries.get(topic)
    const isThere =
      entry !== undefined &&
      Number.isInteger(partition) &&
      partition >= 0 &&
      partition < entry.partitions
    if (!isThere) throw new RangeError(`no partition ${topic}/${partition}`)
    return { topic, partition, slot: entry.firstSlot + partition }
  }

  /** Only inside a transaction. One that exists stays as it is. */
  make(name: string, partitions: number): TopicEntry {
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    if (!Number.isInteger(partitions) || partitions < 1 || partitions > partitionsMax) {
      throw new RangeError(`a topic has 1 to ${partitionsMax} partitions, not ${partitions}`)
    }
    const firstSlot = this.all().reduce((sum, entry) => sum + entry.partitions, 0)
    if (firstSlot + partitions > slotsMax) throw new RangeError(`over ${slotsMax} partitions`)
    this.#insert.run(name, firstSlot, partitions)
    for (let at = 0; at < partitions; at += 1) makeSlotTable(this.#db, firstSlot + at)
    const entry = { name, firstSlot, partitions }
    this.#entries.set(name, entry)
    this.partitions.set(name, partitions)
    return entry
  }

  /** The topic; a dead-letter one is made when it is first written to. */
  forWriting(name: string): TopicEntry {
    const known = this.#entries.get(name)
    if (known !== undefined) return known
    if (!name.endsWith('.dlq')) throw new RangeError(`no topic ${name}`)
    const source = this.all()
      .filter((entry) => name.startsWith(`${entry.name}.`))
      .reduce<TopicEntry | null>(
        (best, entry) => (best === null || entry.name.length > best.name.length ? entry : best),
        null,
      )
    return this.make(name, source?.partitions ?? partitionsDefault)
  }
}
