import { eventTypes } from './event.ts'

export type Header = [name: string, value: Uint8Array]

/** What the headers of an event's record are made of. */
export interface HeaderParts {
  /** In it are the event's id and the parent of its trace. */
  bytes: Uint8Array
  idFrom: number
  idTo: number
  /** The same as `parentTo`: there is none. */
  parentFrom: number
  parentTo: number
  type: Header
  source: Header
  /** Milliseconds since the epoch. */
  timestamp: number
  key: Uint8Array
}

/** Takes headers in their order. */
export interface HeaderSink {
  /** This very array is that of other records too: not to be written to. */
  shared(header: Header): void
  /** Its value is `bytes` from `from` to `to`, which hold until this returns. */
  own(name: string, bytes: Uint8Array, from: number, to: number): void
}

const encoder = new TextEncoder()
const specVersion: Header = ['ce_specversion', encoder.encode('1.0')]
const contentType: Header = ['content-type', encoder.encode('application/json')]
const types: readonly Header[] = eventTypes.map((type) => ['ce_type', encoder.encode(type)])
let lastType = types[0]
let lastSource: { nodeId: Uint8Array; header: Header } | null = null

/** CloudEvents 1.0 in binary mode. */
export function giveHeaders(parts: HeaderParts, to: HeaderSink): void {
  const { bytes, key } = parts
  const time = timeOf(parts.timestamp)
  to.shared(specVersion)
  to.own('ce_id', bytes, parts.idFrom, parts.idTo)
  to.shared(parts.type)
  to.shared(parts.source)
  to.own('ce_time', time, 0, time.length)
  to.own('ce_subject', key, 0, key.length)
  to.shared(contentType)
  if (parts.parentFrom < parts.parentTo)
    to.own('traceparent', bytes, parts.parentFrom, parts.parentTo)
}

/** The header of the event type that stands there. */
export function typeHeaderAt(bytes: Uint8Array, from: number, to: number): Header {
  const isIt = (header: Header | undefined) =>
    header !== undefined && isSame(header[1], bytes, from, to)
  if (lastType !== undefined && isIt(lastType)) return lastType
  lastType = types.find(isIt) ?? ['ce_type', copyOf(bytes, from, to)]
  return lastType
}

/** The header of the node whose id stands there. Events of a node come one after the other. */
export function sourceHeaderAt(bytes: Uint8Array, from: number, to: number): Header {
  if (lastSource === null || !isSame(lastSource.nodeId, bytes, from, to)) {
    const nodeId = copyOf(bytes, from, to)
    const value = Buffer.concat([encoder.encode('/gateway/'), nodeId])
    lastSource = { nodeId, header: ['ce_source', value] }
  }
  return lastSource.header
}

/** `slice` of a Buffer is no copy. */
export function copyOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return new Uint8Array(bytes.subarray(from, to))
}

/** Whether `known` stands there. */
export function isSame(known: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  if (known.length !== to - from) return false
  for (let at = 0; at < known.length; at += 1) {
    if (known[at] !== bytes[from + at]) return false
  }
  return true
}

let time = new Uint8Array()
let timeSecond = Number.NaN

/** In ISO 8601. The next call writes into the same bytes: events of one second differ in three digits. */
function timeOf(timestamp: number): Uint8Array {
  const second = Math.floor(timestamp / 1_000)
  if (second !== timeSecond) {
    time = encoder.encode(new Date(second * 1_000).toISOString())
    timeSecond = second
  }
  let rest = Math.floor(timestamp) - second * 1_000
  for (let at = time.length - 2; at > time.length - 5; at -= 1) {
    time[at] = 48 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
  return time
}
