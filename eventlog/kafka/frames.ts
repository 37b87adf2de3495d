import type { LogRecord, Partition } from '../event-log.ts'

/** Frames to and from the client's process; `host/frames.mjs` says the same on its side. */
export const version = 2
export const told = { hello: 1, call: 2, produce: 3, ping: 4, credit: 5 } as const
export const said = {
  ready: 1,
  answer: 2,
  reports: 3,
  pong: 4,
  records: 5,
  event: 6,
  page: 7,
} as const

export interface Frame {
  kind: number
  body: Uint8Array
  view: DataView
}

export const headBytes = 5
const reportBytes = 18
const lotBytesMax = 256 << 10
const encoder = new TextEncoder()
const decoder = new TextDecoder()
// librdkafka takes 0 for "now"; a record without a timestamp is read as of 0.
export const noTimestamp = -1

/** Cuts what arrives into frames. */
export function frameReader(onFrame: (frame: Frame) => void): (chunk: Uint8Array) => void {
  let parts: Uint8Array[] = []
  let held = 0
  let wanted = headBytes
  return (chunk) => {
    parts.push(chunk)
    held += chunk.length
    while (held >= wanted) {
      const all = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
      const view = viewOf(all)
      let at = 0
      while (all.length - at >= headBytes) {
        const length = view.getUint32(at, true) + 4
        if (all.length - at < length) break
        const body = all.subarray(at + headBytes, at + length)
        onFrame({ kind: view.getUint8(at + 4), body, view: viewOf(body) })
        at += length
      }
      held = all.length - at
      parts = held === 0 ? [] : [all.subarray(at)]
      wanted = held >= headBytes ? view.getUint32(at, true) + 4 : headBytes
    }
  }
}

export function jsonFrame(kind: number, value: unknown): Uint8Array {
  const body = encoder.encode(JSON.stringify(value))
  const frame = newFrame(kind, body.length)
  frame.set(body, headBytes)
  return frame
}

export function jsonOf(frame: Frame): unknown {
  return JSON.parse(decoder.decode(frame.body))
}

export function newFrame(kind: number, bodyBytes: number): Uint8Array {
  const frame = Buffer.allocUnsafe(headBytes + bodyBytes)
  frame.writeUInt32LE(bodyBytes + 1, 0)
  frame[4] = kind
  return frame
}

/** That the parent has taken so many bytes of a stream. */
export function creditFrame(member: number, stream: number, bytes: number): Uint8Array {
  const frame = newFrame(told.credit, 12)
  const view = viewOf(frame)
  view.setUint32(headBytes, member, true)
  view.setUint32(headBytes + 4, stream, true)
  view.setUint32(headBytes + 8, bytes, true)
  return frame
}

/** Small frames go together; all that waits would be copied again and again while the process is slower. */
export function takeLot(frames: Uint8Array[]): Uint8Array {
  let count = 0
  let bytes = 0
  for (const frame of frames) {
    if (count > 0 && bytes + frame.length > lotBytesMax) break
    count += 1
    bytes += frame.length
  }
  const lot = frames.splice(0, count)
  return lot.length === 1 && lot[0] !== undefined ? lot[0] : Buffer.concat(lot)
}

/** `code` is 0 or librdkafka's. */
export function eachReport(
  { view }: Frame,
  told: (id: number, code: number, partition: number, offset: number) => void,
): void {
  for (let at = 0; at < view.byteLength; at += reportBytes) {
    told(
      view.getUint32(at, true),
      view.getInt16(at + 4, true),
      view.getInt32(at + 6, true),
      view.getFloat64(at + 10, true),
    )
  }
}

/** The two numbers before the records of a frame. */
export function headOf({ view }: Frame): [number, number] {
  return [view.getUint32(0, true), view.getUint32(4, true)]
}

export function recordsOf({ body, view }: Frame, { topic, partition }: Partition): LogRecord[] {
  const count = view.getUint32(8, true)
  const records: LogRecord[] = []
  let at = 12
  const bytes = (): Uint8Array | null => {
    const length = view.getInt32(at, true)
    at += 4
    if (length < 0) return null
    at += length
    return viewAt(body, at - length, length)
  }
  for (let record = 0; record < count; record += 1) {
    const offset = view.getFloat64(at, true)
    const timestamp = view.getFloat64(at + 8, true)
    at += 16
    const key = bytes()
    const value = bytes()
    const headers: LogRecord['headers'] = []
    let left = view.getUint16(at, true)
    at += 2
    for (; left > 0; left -= 1) {
      const length = view.getUint16(at, true)
      const name = nameAt(body, at + 2, length)
      at += 2 + length
      headers.push(headerAt(name, body, at, view.getInt32(at, true)))
      at += 4 + Math.max(0, view.getInt32(at, true))
    }
    const at0 = timestamp === noTimestamp ? 0 : timestamp
    records.push({ topic, partition, offset, timestamp: at0, key, value, headers })
  }
  return records
}

type Header = LogRecord['headers'][number]

interface Name {
  bytes: Uint8Array
  name: string
  /** What came under it; null once that has been something else too often. */
  values: Map<number, Header> | null
  misses: number
}

const known = new Map<number, Name>()
const missesMax = 100

/** Decoding a short text costs more than comparing it. */
function nameAt(body: Uint8Array, at: number, length: number): Name {
  const slot = slotAt(body, at, length)
  const before = known.get(slot)
  if (before !== undefined && isAt(body, at, length, before.bytes)) return before
  const bytes = viewAt(body, at, length).slice()
  const name = { bytes, name: decoder.decode(bytes), values: new Map(), misses: 0 }
  if (known.size < 1_000) known.set(slot, name)
  return name
}

/** What is the same in many records (their type, who made them) is one array for all of them. */
function headerAt(of: Name, body: Uint8Array, lengthAt: number, length: number): Header {
  const at = lengthAt + 4
  if (length < 0) return [of.name, new Uint8Array()]
  if (of.values === null) return [of.name, viewAt(body, at, length)]
  const slot = slotAt(body, at, length)
  const before = of.values.get(slot)
  if (before !== undefined && isAt(body, at, length, before[1])) return before
  of.misses += 1
  if (of.misses > missesMax) of.values = null
  // Not a view: one that is kept would keep its frame.
  const header: Header = [of.name, viewAt(body, at, length).slice()]
  of.values?.set(slot, header)
  return header
}

function slotAt(body: Uint8Array, at: number, length: number): number {
  return (length << 16) ^ ((body[at] ?? 0) << 8) ^ (body[at + length - 1] ?? 0)
}

function viewAt({ buffer, byteOffset }: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(buffer, byteOffset + at, length)
}

function isAt(body: Uint8Array, at: number, length: number, bytes: Uint8Array): boolean {
  if (bytes.length !== length) return false
  for (let index = 0; index < bytes.length; index += 1) {
    if (body[at + index] !== bytes[index]) return false
  }
  return true
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
