import type { LogRecord } from '#eventlog/event-log.ts'
import { decodeRecord, eventTypeOf } from '#events/codec.ts'
import type { ConsumedEvent, ConsumerDefinition, UnknownEvent } from './define.ts'
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
  const decoded = decodeRecord(record)
  if (decoded.is === 'bad') {
    return { is: 'bad', type: decoded.errorType, message: decoded.message }
  }
  if (isStored && mayBeUnstorable(record) && isUnstorable(decodedValue(decoded))) {
    return { is: 'bad', type: 'schema', message: 'holds U+0000 or half a surrogate pair' }
  }
  const { topic, partition, offset, timestamp } = record
  const key = record.key === null ? null : textOf(record.key)
  const place = { topic, partition, offset, key, timestamp }
  const what =
    decoded.is === 'event'
      ? { isKnown: true as const, event: decoded.event }
      : { isKnown: false as const, event: decoded.value as UnknownEvent }
  let headers: Record<string, string> | null = null
  return {
    is: 'event',
    consumed: {
      ...place,
      ...what,
      // Few handlers look at them, and to decode them costs as much as the event's JSON.
      get headers() {
        headers ??= headersOf(record)
        return headers
      },
    },
  }
}

export function headerOf(record: Pick<LogRecord, 'headers'>, name: string): string | undefined {
  const header = record.headers.findLast((entry) => entry[0] === name)
  return header === undefined ? undefined : textOf(header[1])
}

function headersOf(record: LogRecord): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of record.headers) headers[name] = textOf(value)
  return headers
}

function textOf(bytes: Uint8Array): string {
  return bufferOf(bytes).toString()
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

// JSON can spell both only as escapes, so most records need no look at their texts.
function mayBeUnstorable({ value }: LogRecord): boolean {
  return value !== null && bufferOf(value).includes('\\u')
}

function decodedValue(
  decoded: { is: 'event'; event: unknown } | { is: 'unknown'; value: unknown },
) {
  return decoded.is === 'event' ? decoded.event : decoded.value
}

function isUnstorable(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\u0000') || !value.isWellFormed()
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([name, member]) => isUnstorable(name) || isUnstorable(member))
}
