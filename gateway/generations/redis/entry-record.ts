import type { FrameRecord, RecordWriter } from '#eventlog/kafka/produce-frame.ts'
import {
  copyOf,
  giveHeaders,
  type Header,
  type HeaderParts,
  sourceHeaderAt,
  typeHeaderAt,
} from '#events/headers.ts'
import { pairsOf } from './outbox.ts'

const newline = 10
/** Of an entry's fields, in the order in which all scripts write them. */
const names = 'tkhv'
// What a frame says of a record besides: names and lengths of eight headers, and values that are not in its entry.
const frameBytes = 256
// A later time has no date.
const latestMs = 8_640_000_000_000_000
const nothing = Buffer.alloc(0)
const topics = new Map<number, { bytes: Buffer; topic: string }>()

/**
 * The record of an entry, as bytes: it goes into a frame without a text or an array made of any of it. Holds what Redis
 * has answered as long as it lives.
 */
export class EntryRecord implements FrameRecord {
  readonly topic: string
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly #head: Buffer

  /** `fields`: names and values by turns. */
  constructor(fields: readonly Buffer[]) {
    const [, topic, , key, , head, , value] = isUsual(fields) ? fields : usual(fields)
    this.topic = topicOf(topic ?? nothing)
    this.key = key ?? nothing
    this.value = value ?? nothing
    this.#head = head ?? nothing
  }

  get timestamp(): number {
    return partsOf(this.#head, this.key).timestamp
  }

  get headers(): Header[] {
    const headers: Header[] = []
    giveHeaders(partsOf(this.#head, this.key), {
      shared: (header) => headers.push(header),
      own: (name, of, from, to) => headers.push([name, copyOf(of, from, to)]),
    })
    return headers
  }

  get frameBytes(): number {
    return frameBytes + 2 * this.key.length + this.#head.length + this.value.length
  }

  writeTo(writer: RecordWriter): void {
    const parts = partsOf(this.#head, this.key)
    const { topic, key, value } = this
    writer.record({ topic, key, value, timestamp: parts.timestamp })
    giveHeaders(parts, writer)
  }
}

function isUsual(fields: readonly Buffer[]): boolean {
  if (fields.length !== 8) return false
  for (let at = 0; at < 4; at += 1) {
    const name = fields[2 * at]
    if (name?.length !== 1 || name[0] !== names.charCodeAt(at)) return false
  }
  return true
}

function usual(fields: readonly Buffer[]): Buffer[] {
  const pairs = pairsOf(fields)
  return [...names].flatMap((name) => [nothing, pairs[name] ?? nothing])
}

/** Topics are few. */
function topicOf(bytes: Buffer): string {
  const known = topics.get(bytes.length)
  if (known?.bytes.equals(bytes)) return known.topic
  const topic = bytes.toString()
  topics.set(bytes.length, { bytes: Buffer.from(bytes), topic })
  return topic
}

const parts: HeaderParts = {
  ...{ bytes: nothing, idFrom: 0, idTo: 0, parentFrom: 0, parentTo: 0 },
  type: typeHeaderAt(nothing, 0, 0),
  source: sourceHeaderAt(nothing, 0, 0),
  ...{ timestamp: 0, key: nothing },
}

/** What a head and a key say, until the next are read. */
function partsOf(head: Buffer, key: Uint8Array): HeaderParts {
  const typeFrom = lineAfter(head, 0)
  const timeFrom = lineAfter(head, typeFrom)
  const nodeFrom = lineAfter(head, timeFrom)
  const parentFrom = lineAfter(head, nodeFrom)
  parts.bytes = head
  parts.idTo = Math.max(0, typeFrom - 1)
  parts.type = typeHeaderAt(head, typeFrom, Math.max(typeFrom, timeFrom - 1))
  parts.timestamp = numberAt(head, timeFrom, nodeFrom - 1)
  parts.source = sourceHeaderAt(head, nodeFrom, Math.max(nodeFrom, parentFrom - 1))
  parts.parentFrom = parentFrom
  parts.parentTo = head.length
  parts.key = key
  return parts
}

/** Where the line behind the one at `from` begins. */
function lineAfter(head: Buffer, from: number): number {
  let at = from
  while (at < head.length && head[at] !== newline) at += 1
  return Math.min(at + 1, head.length)
}

function numberAt(head: Buffer, from: number, to: number): number {
  let number = 0
  for (let at = from; at < to; at += 1) {
    const digit = (head[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return 0
    number = 10 * number + digit
  }
  return number <= latestMs ? number : 0
}
