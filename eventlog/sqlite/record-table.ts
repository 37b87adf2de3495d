import type { Database } from 'bun:sqlite'
import { partitionOf } from '#events/murmur2.ts'
import type { LogRecord, NewRecord } from '../event-log.ts'
import { flagsOf, HeaderPacker, unpack } from './header-pack.ts'
import { timesEvery } from './schema.ts'
import { type RecordRow, SlotTable } from './slot-table.ts'
import { TimeIndex } from './time-index.ts'
import type { Place, TopicEntry, TopicTable } from './topic-table.ts'

/** What an append must know of a partition. */
interface Tail {
  /** The offset of the next record. */
  next: number
  /** The latest timestamp so far. */
  latest: number
}

const none = new Uint8Array(0)
const pageBytesMax = 1 << 20
const firstLot = 32

/** The records of all partitions, by slot and offset. */
export class RecordTable {
  readonly #db: Database
  readonly #topics: TopicTable
  readonly #times: TimeIndex
  readonly #first
  readonly #setFirst
  readonly #slots: (SlotTable | undefined)[] = []
  readonly #tails: (Tail | undefined)[] = []
  readonly #packer = new HeaderPacker()
  #spread = 0

  constructor(db: Database, topics: TopicTable) {
    this.#db = db
    this.#topics = topics
    this.#times = new TimeIndex(db)
    this.#first = db.prepare('SELECT first FROM log_starts WHERE slot = ?')
    this.#setFirst = db.prepare(
      'INSERT INTO log_starts (slot, first) VALUES (?, ?) ON CONFLICT DO UPDATE SET first = excluded.first',
    )
  }

  /** What is remembered of tails may be wrong: another connection has written. */
  forget(): void {
    this.#tails.length = 0
  }

  /** Only inside a transaction. */
  append(records: readonly NewRecord[]): void {
    for (const record of records) this.#appendOne(record)
  }

  /** The kept offsets `[from, to)`. */
  kept(slot: number): { from: number; to: number } {
    return { from: this.#firstOf(slot), to: this.#tailOf(slot).next }
  }

  end(slot: number): number {
    return this.#tailOf(slot).next
  }

  /** Records `[from, to)`, at most `max` of them and about `pageBytesMax`, at least one if there is one. */
  page(place: Place, range: { from: number; to: number }, max: number): LogRecord[] {
    const table = this.#slotOf(place.slot)
    const to = Math.min(range.to, Number.MAX_SAFE_INTEGER)
    const records: LogRecord[] = []
    let from = range.from
    let bytes = 0
    // A value may be half a megabyte, so what the next lot weighs is judged by the ones before.
    for (let lot = Math.min(max, firstLot); lot > 0; ) {
      const rows = table.page(from, to, lot)
      for (const row of rows) {
        records.push(recordOf(row, place))
        bytes += row[2].length + (row[4]?.length ?? 0)
      }
      const last = rows.at(-1)
      if (last === undefined || rows.length < lot || bytes >= pageBytesMax) break
      from = last[0] + 1
      const fitting = Math.ceil(((pageBytesMax - bytes) * records.length) / bytes)
      lot = Math.min(max - records.length, fitting)
    }
    return records
  }

  /** The first kept offset whose timestamp is at or after `atMs`; the end when there is none. */
  offsetAt(slot: number, atMs: number): number {
    const from = Math.max(this.#firstOf(slot), this.#times.before(slot, atMs) + 1)
    return this.#slotOf(slot).firstSince(from, atMs) ?? this.#tailOf(slot).next
  }

  /** Only inside a transaction: deletes the records before `offset`, all of which are earlier than `atMs`. */
  deleteBefore(slot: number, offset: number, atMs: number): void {
    this.#slotOf(slot).deleteBefore(offset)
    this.#times.delete(slot, atMs, offset)
    this.#setFirst.run(slot, offset)
  }

  #appendOne(record: NewRecord): void {
    const { key, value, headers, timestamp } = record
    const slot = this.#slotFor(record, this.#topics.forWriting(record.topic))
    const tail = this.#tailOf(slot)
    const offset = tail.next
    const packed = this.#packer.pack(headers, flagsOf(key, value))
    this.#slotOf(slot).insert(offset, timestamp, packed, key, value)
    tail.next = offset + 1
    if (timestamp > tail.latest) tail.latest = timestamp
    if (offset % timesEvery === timesEvery - 1) this.#times.add(slot, tail.latest, offset)
  }

  #slotFor({ topic, partition, key }: NewRecord, entry: TopicEntry): number {
    if (partition !== undefined) return this.#topics.placeOf({ topic, partition }).slot
    if (key !== null) return entry.firstSlot + partitionOf(key, entry.partitions)
    this.#spread += 1
    return entry.firstSlot + (this.#spread % entry.partitions)
  }

  #slotOf(slot: number): SlotTable {
    const known = this.#slots[slot]
    if (known !== undefined) return known
    const table = new SlotTable(this.#db, slot)
    this.#slots[slot] = table
    return table
  }

  #firstOf(slot: number): number {
    return (this.#first.values(slot)[0]?.[0] as number | undefined) ?? 0
  }

  #tailOf(slot: number): Tail {
    const known = this.#tails[slot]
    if (known !== undefined) return known
    const tail = this.#readTail(slot)
    this.#tails[slot] = tail
    return tail
  }

  #readTail(slot: number): Tail {
    const table = this.#slotOf(slot)
    const last = table.last()
    const told = this.#times.last(slot)
    const latest = table.latest((told?.offsetTo ?? -1) + 1)
    return {
      next: last === undefined ? this.#firstOf(slot) : last + 1,
      latest: Math.max(told?.latest ?? 0, latest ?? 0),
    }
  }
}

function recordOf([offset, timestamp, packed, key, value]: RecordRow, place: Place): LogRecord {
  const { keyIsNull, valueIsNull, headers } = unpack(packed)
  return {
    topic: place.topic,
    partition: place.partition,
    offset,
    key: keyIsNull ? null : (key ?? none),
    value: valueIsNull ? null : (value ?? none),
    headers,
    timestamp,
  }
}
