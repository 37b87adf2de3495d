import type { Batch, LogRecord, Partition } from '../event-log.ts'
import { type Frame, recordsOf } from './frames.ts'

interface Chunk {
  frame: Frame
  /** Read out of the frame when they are asked for. */
  records: LogRecord[] | null
  taken: number
}

/** A partition that a member has, and what of it has come. */
export interface Owned extends Partition {
  /** Records of another stream were read before a seek or by an earlier assignment. */
  stream: number
  isPaused: boolean
  /** The group knows where it is: from now on it is said to be ours. */
  isReady: boolean
  /** Sought before it was known where to begin. */
  sought: number | null
  chunks: Chunk[]
}

// One poll of many partitions of long values must not fill the memory.
const pollBytesMax = 8 << 20

/** The partitions of a member. */
export class OwnedPartitions {
  readonly #owned = new Map<string, Owned>()
  readonly #streams = new Map<number, Owned>()
  readonly #taken: (stream: number, bytes: number) => void
  #nextStream = 1
  #turn = 0

  /** `taken` hears of the bytes of a stream that have been polled, and make room for others. */
  constructor(taken: (stream: number, bytes: number) => void) {
    this.#taken = taken
  }

  all(): Owned[] {
    return [...this.#owned.values()]
  }

  of(partition: Partition): Owned | undefined {
    return this.#owned.get(nameOf(partition))
  }

  add({ topic, partition }: Partition): Owned {
    const owned: Owned = {
      ...{ topic, partition, stream: 0, isPaused: false, isReady: false, sought: null, chunks: [] },
    }
    this.begin(owned)
    this.#owned.set(nameOf(owned), owned)
    return owned
  }

  /** Drops what has come: from now on only records of a new stream count. */
  begin(owned: Owned): void {
    owned.chunks = []
    this.#streams.delete(owned.stream)
    owned.stream = this.#nextStream
    this.#nextStream += 1
    this.#streams.set(owned.stream, owned)
  }

  forget(going: readonly Owned[]): void {
    for (const owned of going) {
      this.#owned.delete(nameOf(owned))
      this.#streams.delete(owned.stream)
    }
  }

  /** Whether there is such a stream. */
  receive(stream: number, frame: Frame): boolean {
    const owned = this.#streams.get(stream)
    owned?.chunks.push({ frame, records: null, taken: 0 })
    return owned !== undefined
  }

  /** At most `max` records of each partition that isn't paused, another one first each time. */
  take(max: number): Batch[] {
    const all = this.all()
    const batches: Batch[] = []
    let bytes = 0
    this.#turn += 1
    for (const [at] of all.entries()) {
      const owned = all[(at + this.#turn) % all.length]
      if (owned === undefined || owned.isPaused || owned.chunks.length === 0) continue
      const records: LogRecord[] = []
      while (records.length < max && bytes < pollBytesMax) {
        const took = this.#takeOf(owned, max - records.length, records)
        if (took === 0) break
        bytes += took
      }
      const { topic, partition } = owned
      if (records.length > 0) batches.push({ topic, partition, records })
      if (bytes >= pollBytesMax) break
    }
    return batches
  }

  /** Takes of the first chunk; answers about how many bytes. */
  #takeOf(owned: Owned, max: number, into: LogRecord[]): number {
    const chunk = owned.chunks[0]
    if (chunk === undefined) return 0
    chunk.records ??= recordsOf(chunk.frame, owned)
    const size = chunk.frame.body.length + 5
    const until = Math.min(chunk.records.length, chunk.taken + max)
    const count = until - chunk.taken
    for (let at = chunk.taken; at < until; at += 1) {
      const record = chunk.records[at]
      if (record !== undefined) into.push(record)
    }
    chunk.taken = until
    if (until === chunk.records.length) {
      owned.chunks.shift()
      this.#taken(owned.stream, size)
    }
    return Math.ceil((size * count) / Math.max(1, chunk.records.length))
  }
}

export function nameOf({ topic, partition }: Partition): string {
  return `${topic}/${partition}`
}
