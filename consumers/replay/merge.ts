import type { EventLog, LogRecord, Partition } from '#eventlog/event-log.ts'

export interface Range extends Partition {
  from: number
  to: number
  /** The latest time that the partition has shown before `from`. */
  latestMs?: number
}

export interface MergeOptions {
  signal: AbortSignal
  /** Offsets `[from, to)` of a partition had no record when they were read. */
  onHole(hole: Range): Promise<void>
}

/**
 * The records of several partitions as one: in order within each, and among them by the latest time that a partition has
 * shown so far. So the order is the same whenever it is read, though times within a partition may go back.
 */
export class Merge {
  readonly #readers: Reader[]
  #isPrimed = false

  constructor(eventLog: EventLog, ranges: Range[], options: MergeOptions) {
    this.#readers = ranges.map((range) => new Reader(eventLog, range, options))
  }

  /** The next record; null at the end of all. */
  async next(): Promise<LogRecord | null> {
    if (!this.#isPrimed) {
      await Promise.all(this.#readers.map((reader) => reader.advance()))
      this.#isPrimed = true
    }
    let first: Reader | null = null
    for (const reader of this.#readers) {
      if (reader.head !== null && (first === null || reader.latestMs < first.latestMs))
        first = reader
    }
    if (first === null) return null
    const record = first.head
    await first.advance()
    return record
  }

  /** By partition, the offset of the next record that nobody has been given. */
  get positions(): Map<number, number> {
    return new Map(this.#readers.map((reader) => [reader.range.partition, reader.position]))
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()))
  }
}

class Reader {
  readonly range: Range
  readonly #pages: AsyncIterator<LogRecord[]>
  readonly #options: MergeOptions
  #page: LogRecord[] = []
  #at = 0
  #next: number
  head: LogRecord | null = null
  latestMs: number

  constructor(eventLog: EventLog, range: Range, options: MergeOptions) {
    this.range = range
    this.#options = options
    this.#next = range.from
    this.latestMs = range.latestMs ?? Number.NEGATIVE_INFINITY
    this.#pages = eventLog.read(range, options.signal)[Symbol.asyncIterator]()
  }

  get position(): number {
    return this.head?.offset ?? this.range.to
  }

  async advance(): Promise<void> {
    while (this.#at >= this.#page.length) {
      const page = await this.#pages.next()
      if (page.done) {
        this.head = null
        await this.#reach(this.range.to)
        return
      }
      this.#page = page.value
      this.#at = 0
      const [first] = page.value
      if (first !== undefined) await this.#reach(first.offset)
      this.#next = (page.value.at(-1)?.offset ?? this.#next - 1) + 1
    }
    this.head = this.#page[this.#at] ?? null
    this.#at += 1
    this.latestMs = Math.max(this.latestMs, this.head?.timestamp ?? 0)
  }

  async close(): Promise<void> {
    await this.#pages.return?.()
  }

  async #reach(offset: number): Promise<void> {
    const from = this.#next
    this.#next = Math.max(from, offset)
    if (from < offset) await this.#options.onHole({ ...this.range, from, to: offset })
  }
}
