import { Envelope, Event } from './event.ts'
import { copyOf, giveHeaders, type Header, sourceHeaderAt, typeHeaderAt } from './headers.ts'

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
  /** `decode`: no JSON object. `schema`: its envelope, its version or its fields. */
  | { is: 'bad'; errorType: 'decode' | 'schema'; message: string }

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
  const header = headers.findLast(([name]) => name === 'ce_type')
  if (header === undefined) return undefined
  const [, bytes] = header
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

const schemas: ReadonlyMap<string, (typeof Event.options)[number]> = new Map(
  Event.options.map((schema) => [schema.shape.eventType.value, schema]),
)

/** Parses and validates a record's value; the value alone decides, whatever the headers say. */
export function decodeRecord({ value }: { value: Uint8Array | null }): Decoded {
  if (value === null) return bad('decode', 'value is null')
  let parsed: unknown
  try {
    parsed = JSON.parse(decoder.decode(value))
  } catch {
    // The parser's own words may quote the value, which can be somebody's text.
    return bad('decode', 'value is not JSON in UTF-8')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return bad('decode', 'value is no JSON object')
  }
  const eventType = 'eventType' in parsed ? parsed.eventType : undefined
  const schema = typeof eventType === 'string' ? schemas.get(eventType) : undefined
  if (schema === undefined) {
    const { data, error } = Envelope.safeParse(parsed)
    return data === undefined ? bad('schema', problemsOf(error)) : { is: 'unknown', value: data }
  }
  const { data, error } = schema.safeParse(parsed)
  return data === undefined ? bad('schema', problemsOf(error)) : { is: 'event', event: data }
}

function bad(errorType: 'decode' | 'schema', message: string): Decoded {
  return { is: 'bad', errorType, message }
}

function problemsOf(error: { issues: { path: PropertyKey[]; message: string }[] }): string {
  return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
}
