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

/** What a record takes in a frame, at most. */
export function frameBytesOf({ key, value, headers }: NewRecord): number {
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
  records: readonly NewRecord[],
  recordsBytes: number,
): Uint8Array {
  const topics = [...new Set(records.map(({ topic }) => topic))]
  const bytes = 9 + topics.reduce((sum, topic) => sum + 2 + bytesOfName(topic).length, 0)
  const writer = new Writer(newFrame(told.produce, bytes + recordsBytes))
  writer.u32(firstId)
  writer.u32(records.length)
  writer.u8(topics.length)
  for (const topic of topics) writer.name(topic)
  const known = new Map<string, number>()
  let before: NewRecord['headers'] = []
  for (const { topic, partition, key, value, headers, timestamp } of records) {
    writer.u8(topics.indexOf(topic))
    writer.i32(partition ?? -1)
    writer.f64(timestamp === 0 ? noTimestamp : timestamp)
    writer.bytes(key)
    writer.bytes(value)
    writer.u16(headers.length)
    for (let at = 0; at < headers.length; at += 1) {
      const header = headers[at]
      if (header === undefined) continue
      if (header === before[at]) {
        writer.u32(sameAsBefore)
        continue
      }
      const index = known.get(header[0]) ?? known.size
      writer.u32(index)
      if (index === known.size) {
        known.set(header[0], index)
        writer.name(header[0])
      }
      writer.bytes(header[1])
    }
    before = headers
  }
  return writer.done()
}

class Writer {
  readonly #frame: Uint8Array
  readonly #view: DataView
  #at = headBytes

  constructor(frame: Uint8Array) {
    this.#frame = frame
    this.#view = viewOf(frame)
  }

  u8(value: number): void {
    this.#view.setUint8(this.#at, value)
    this.#at += 1
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value, true)
    this.#at += 2
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true)
    this.#at += 4
  }

  i32(value: number): void {
    this.#view.setInt32(this.#at, value, true)
    this.#at += 4
  }

  f64(value: number): void {
    this.#view.setFloat64(this.#at, value, true)
    this.#at += 8
  }

  name(name: string): void {
    const bytes = bytesOfName(name)
    this.u16(bytes.length)
    this.#copy(bytes)
  }

  bytes(bytes: Uint8Array | null): void {
    this.i32(bytes === null ? -1 : bytes.length)
    if (bytes !== null) this.#copy(bytes)
  }

  #copy(bytes: Uint8Array): void {
    const { length } = bytes
    const from = this.#at
    const frame = this.#frame
    if (length > copiedByHandMax) frame.set(bytes, from)
    else for (let at = 0; at < length; at += 1) frame[from + at] = bytes[at] ?? 0
    this.#at = from + length
  }

  /** The frame, no longer than it has become. */
  done(): Uint8Array {
    this.#view.setUint32(0, this.#at - 4, true)
    return this.#frame.subarray(0, this.#at)
  }
}
