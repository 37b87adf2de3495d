import { z } from 'zod'
import { Envelope, Event, eventTypes } from './event.ts'
import {
  copyOf,
  giveHeaders,
  type Header,
  isSame,
  sourceHeaderAt,
  typeHeaderAt,
} from './headers.ts'

/** An event ready for the log: `json` is whole. */
export interface EventRecordInput {
  eventId: string
  eventType: string
  topic: string
  /** Text, or the bytes of it. */
  key: string | Uint8Array
  /** Milliseconds since the epoch. */
  timestamp: number
  nodeId: string
  json: string | Uint8Array
  traceparent?: string
}

/** A record of the log, as far as this unit knows it. */
export interface EventRecord {
  topic: string
  key: Uint8Array
  value: Uint8Array
  headers: [name: string, value: Uint8Array][]
  timestamp: number
}

/** Where a step puts an event. */
export interface Closing {
  epoch: number
  seq: number
  fromSeq?: number
  previous?: { epoch: number; seq: number }
}

export type Decoded =
  | { is: 'event'; event: Event }
  /** Of a type that this version doesn't know; its envelope is sound. */
  | { is: 'unknown'; value: Envelope }
  | Bad

/** `decode`: no JSON object. `schema`: its envelope, its version or its fields. */
interface Bad {
  is: 'bad'
  errorType: 'decode' | 'schema'
  message: string
}

type Headers = readonly (readonly [name: string, value: Uint8Array])[]

/** Closes the JSON of an event of a step. The order is fixed: `consumers/step.ts` reads the last bytes. */
export function closeEvent(json: string, { epoch, seq, fromSeq, previous }: Closing): string {
  const run = fromSeq === undefined ? '' : `,"fromSeq":${fromSeq}`
  const before =
    previous === undefined ? '' : `,"previous":{"epoch":${previous.epoch},"seq":${previous.seq}}`
  return `${json},"epoch":${epoch},"seq":${seq}${run}${before}}`
}

const encoder = new TextEncoder()

/** The event as a record: CloudEvents 1.0 in binary mode. Arrays may be shared with other records: don't write to them. */
export function recordOf(event: EventRecordInput): EventRecord {
  const { topic, timestamp, eventId, traceparent = '' } = event
  const key = bytesOf(event.key)
  const type = encoder.encode(event.eventType)
  const nodeId = encoder.encode(event.nodeId)
  const bytes = encoder.encode(eventId + traceparent)
  const idTo = Buffer.byteLength(eventId)
  const headers: Header[] = []
  giveHeaders(
    {
      ...{ bytes, idFrom: 0, idTo, parentFrom: idTo, parentTo: bytes.length },
      type: typeHeaderAt(type, 0, type.length),
      source: sourceHeaderAt(nodeId, 0, nodeId.length),
      ...{ timestamp, key },
    },
    {
      shared: (header) => headers.push(header),
      own: (name, of, from, to) => headers.push([name, copyOf(of, from, to)]),
    },
  )
  return { topic, key, value: bytesOf(event.json), headers, timestamp }
}

function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? encoder.encode(text) : text
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The type that the headers name, without a look at the value; undefined when they name none. */
export function eventTypeOf({ headers }: { headers: Headers }): string | undefined {
  const bytes = headerOf(headers, 'ce_type')
  if (bytes === undefined) return undefined
  const known = typeBytes
    .get(bytes.length)
    ?.find((type) => isSame(type.bytes, bytes, 0, bytes.length))
  return known?.type ?? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

/** Of headers of one name the last. */
export function headerOf(headers: Headers, name: string): Uint8Array | undefined {
  for (let at = headers.length - 1; at >= 0; at -= 1) {
    const header = headers[at]
    if (header?.[0] === name) return header[1]
  }
  return undefined
}

// To compare a few bytes costs less than to decode them.
const typeBytes = Map.groupBy(
  eventTypes.map((type) => ({ type, bytes: encoder.encode(type) })),
  ({ bytes }) => bytes.length,
)

const schemas = new Map(
  Event.options.map((schema) => [schema.shape.eventType.value as string, schema]),
)
const compiled: typeof schemas = new Map()

/** Compiled by whoever needs it first: a sound event is validated three times as fast, any other told as before. */
function schemaOf(eventType: string) {
  const known = compiled.get(eventType)
  const schema = known === undefined ? schemas.get(eventType) : undefined
  if (schema === undefined) return known
  const fast = z.compile(schema)
  compiled.set(eventType, fast)
  return fast
}

/** A record's value as text, or why it is none. */
export function jsonTextOf(value: Uint8Array | null): string | Bad {
  if (value === null) return bad('decode', 'value is null')
  try {
    return decoder.decode(value)
  } catch {
    return notJson()
  }
}

/** Parses and validates a record's value; the value alone decides, whatever the headers say. */
export function decodeRecord({ value }: { value: Uint8Array | null }): Decoded {
  const json = jsonTextOf(value)
  return typeof json === 'string' ? decodeJson(json) : json
}

/** `decodeRecord` of a value that is text already. */
export function decodeJson(json: string): Decoded {
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    // The parser's own words may quote the value, which can be somebody's text.
    return notJson()
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return bad('decode', 'value is no JSON object')
  }
  const eventType = 'eventType' in parsed ? parsed.eventType : undefined
  const schema = typeof eventType === 'string' ? schemaOf(eventType) : undefined
  if (schema === undefined) {
    const { data, error } = Envelope.safeParse(parsed)
    return data === undefined ? bad('schema', problemsOf(error)) : { is: 'unknown', value: data }
  }
  const { data, error } = schema.safeParse(parsed)
  return data === undefined ? bad('schema', problemsOf(error)) : { is: 'event', event: data }
}

function notJson(): Bad {
  return bad('decode', 'value is not JSON in UTF-8')
}

function bad(errorType: Bad['errorType'], message: string): Bad {
  return { is: 'bad', errorType, message }
}

function problemsOf(error: { issues: { path: PropertyKey[]; message: string }[] }): string {
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
}
