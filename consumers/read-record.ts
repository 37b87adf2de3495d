import type { LogRecord } from '#eventlog/event-log.ts'
import {
  headerOf as bytesOfHeader,
  type Decoded,
  decodeJson,
  eventTypeOf,
  jsonTextOf,
} from '#events/codec.ts'
import type { ConsumedEvent, ConsumerDefinition } from './define.ts'
import type { FaultType } from './park.ts'

export type Reading =
  | { is: 'event'; consumed: ConsumedEvent }
  | { is: 'bad'; type: FaultType; message: string }

export type Wants = (eventType: string) => boolean

export function wantsOf({ eventTypes, exceptTypes }: ConsumerDefinition): Wants {
  const only = eventTypes === undefined ? null : new Set(eventTypes)
  const except = new Set(exceptTypes)
  return (eventType) => !except.has(eventType) && (only === null || only.has(eventType))
}

/** Whether the group passes the record by: sent again to another group, or of a type that it doesn't want. */
export function isPassedBy(record: LogRecord, group: string, wants: Wants): boolean {
  const redrive = headerOf(record, 'redrive')
  if (redrive !== undefined && redrive !== group) return true
  // A null is broken whatever its headers say.
  if (record.value === null) return false
  const eventType = eventTypeOf(record)
  return typeof eventType === 'string' && !wants(eventType)
}

/** Parses and validates; with `isStored` also refuses what Postgres cannot hold. */
export function readRecord(record: LogRecord, isStored: boolean): Reading {
  const json = jsonTextOf(record.value)
  if (typeof json !== 'string') return badReading(json)
  const decoded = decodeJson(json)
  if (decoded.is === 'bad') return badReading(decoded)
  // JSON can spell both only as escapes, so most records need no look at their texts.
  if (isStored && json.includes('\\u') && isUnstorable(decodedValue(decoded))) {
    return { is: 'bad', type: 'schema', message: 'holds U+0000 or half a surrogate pair' }
  }
  return { is: 'event', consumed: consumedOf(record, json, decoded) }
}

function badReading({ errorType: type, message }: Bad): Reading {
  return { is: 'bad', type, message }
}

function consumedOf(record: LogRecord, json: string, decoded: Sound): ConsumedEvent {
  const isKnown = decoded.is === 'event'
  let headers: Record<string, string> | null = null
  // One literal of one shape: each event of each consumer passes here.
  return {
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    key: record.key === null ? null : textOf(record.key),
    timestamp: record.timestamp,
    json,
    isKnown,
    event: isKnown ? decoded.event : decoded.value,
    // Few handlers look at them, and to decode them costs as much as the event's JSON.
    get headers() {
      headers ??= headersOf(record)
      return headers
    },
  } as ConsumedEvent
}

export function headerOf(record: Pick<LogRecord, 'headers'>, name: string): string | undefined {
  const bytes = bytesOfHeader(record.headers, name)
  return bytes === undefined ? undefined : textOf(bytes)
}

function headersOf(record: LogRecord): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of record.headers) headers[name] = textOf(value)
  return headers
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
}

type Bad = Extract<Decoded, { is: 'bad' }>
type Sound = Exclude<Decoded, Bad>

function decodedValue(decoded: Sound): unknown {
  return decoded.is === 'event' ? decoded.event : decoded.value
}

function isUnstorable(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\u0000') || !value.isWellFormed()
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, member]) => isUnstorable(name) || isUnstorable(member))
}
