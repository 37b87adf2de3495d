import type { NewRecord } from '../event-log.ts'
import { headBytes, newFrame, noTimestamp, told, viewOf } from './frames.ts'

// Records to be produced; `host/produce-frame.mjs` reads them.

const sameAsBefore = 0xffffffff
// A call for a few bytes costs more than the bytes.
const copiedByHandMax = 64
const encoder = new TextEncoder()
const names = new Map<string, Uint8Array>()

/** Names of topics and headers come again and again. */
function bytesOfName(name: string): Uint8Array {
  const known = names.get(name)
  if (known !== undefined) return known
  const bytes = encoder.encode(name)
  if (names.size < 1_000) names.set(name, bytes)
  return bytes
}

/** A record that writes itself into frames: first `record`, then its headers. */
export interface FrameRecord extends NewRecord {
  /** What it takes in a frame, at most. */
  readonly frameBytes: number
  writeTo(writer: RecordWriter): void
}

function isFrameRecord(record: NewRecord | FrameRecord): record is FrameRecord {
  return 'writeTo' in record
}

/** What a record takes in a frame, at most. */
export function frameBytesOf(record: NewRecord | FrameRecord): number {
  if (isFrameRecord(record)) return record.frameBytes
  const { key, value, headers } = record
  let bytes = 23 + (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, of] of headers) bytes += 10 + 3 * name.length + of.length
  return bytes
}

/**
 * Records of at most 255 topics; their ids count up from `firstId`. `recordsBytes`: the sum of `frameBytesOf`. A header
 * that is the very one of the record before, at the same place, is not said again, and a name only once.
 */
export function produceFrame(
  firstId: number,
  records: readonly (NewRecord | FrameRecord)[],
  recordsBytes: number,
): Uint8Array {
  const topics = new Set<string>()
  for (const { topic } of records) topics.add(topic)
  const writer = new RecordWriter(firstId, records.length, [...topics], recordsBytes)
  for (const record of records) {
    if (isFrameRecord(record)) record.writeTo(writer)
    else {
      writer.record(record)
      for (const header of record.headers) writer.shared(header)
    }
  }
  return writer.done()
}

/** Writes records into a frame. */
export class RecordWriter {
  readonly #frame: Uint8Array
  readonly #view: DataView
  readonly #topics: readonly string[]
  readonly #names = new Map<string, number>()
  /** Of the record before, where they may be shared. */
  readonly #headers: (NewRecord['headers'][number] | null)[] = []
  #count = 0
  #countAt = 0
  #at = headBytes

  constructor(firstId: number, count: number, topics: readonly string[], recordsBytes: number) {
    const bytes = topics.reduce((sum, topic) => sum + 2 + bytesOfName(topic).length, 9)
    this.#frame = newFrame(told.produce, bytes + recordsBytes)
    this.#view = viewOf(this.#frame)
    this.#topics = topics
    this.#u32(firstId)
    this.#u32(count)
    this.#u8(topics.length)
    for (const topic of topics) this.#name(topic)
  }

  /** Begins a record. */
  record(record: Omit<NewRecord, 'headers'>): void {
    this.#end()
    const { topic, partition = -1, key, value, timestamp } = record
    this.#u8(this.#topics.indexOf(topic))
    this.#u32(partition)
    this.#view.setFloat64(this.#at, timestamp === 0 ? noTimestamp : timestamp, true)
    this.#at += 8
    this.#bytes(key)
    this.#bytes(value)
    this.#countAt = this.#at
    this.#at += 2
    this.#count = 0
  }

  /** A header that the next record may have too. */
  shared(header: NewRecord['headers'][number]): void {
    const place = this.#count
    this.#count += 1
    if (header === this.#headers[place]) {
      this.#u32(sameAsBefore)
      return
    }
    this.#headers[place] = header
    const [name, value] = header
    this.#header(name, value, 0, value.length)
  }

  /** A header of this record alone: a part of `bytes`. */
  own(name: string, bytes: Uint8Array, from: number, to: number): void {
    this.#headers[this.#count] = null
    this.#count += 1
    this.#header(name, bytes, from, to)
  }

  /** The frame, no longer than it has become. */
  done(): Uint8Array {
    this.#end()
    this.#view.setUint32(0, this.#at - 4, true)
    return this.#frame.subarray(0, this.#at)
  }

  #end(): void {
    if (this.#countAt > 0) this.#view.setUint16(this.#countAt, this.#count, true)
    this.#headers.length = this.#count
  }

  #header(name: string, bytes: Uint8Array, from: number, to: number): void {
    const index = this.#names.get(name) ?? this.#names.size
    this.#u32(index)
    if (index === this.#names.size) {
      this.#names.set(name, index)
      this.#name(name)
    }
    this.#u32(to - from)
    this.#copy(bytes, from, to)
  }

  #name(name: string): void {
    const bytes = bytesOfName(name)
    this.#view.setUint16(this.#at, bytes.length, true)
    this.#at += 2
    this.#copy(bytes, 0, bytes.length)
  }

  #bytes(bytes: Uint8Array | null): void {
    this.#u32(bytes === null ? -1 : bytes.length)
    if (bytes !== null) this.#copy(bytes, 0, bytes.length)
  }

  #u8(value: number): void {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  #copy(bytes: Uint8Array, from: number, to: number): void {
    const frame = this.#frame
    const length = to - from
    if (length > copiedByHandMax) {
      frame.set(length === bytes.length ? bytes : bytes.subarray(from, to), this.#at)
    } else {
      const at = this.#at - from
      for (let index = from; index < to; index += 1) frame[at + index] = bytes[index] ?? 0
    }
    this.#at += length
  }
}
