import type { LogRecord, NewRecord } from '#eventlog/event-log.ts'
import { dlqTopic } from '#events/topics.ts'

/** Why a record cannot be handled: its bytes, its shape, or what `handle` said each time. */
export type FaultType = 'decode' | 'schema' | 'handler'

export interface Fault {
  type: FaultType
  message: string
  attempts: number
  firstFailedAtMs: number
}

const messageMax = 1_000
const encoder = new TextEncoder()

/** The record as it goes to the dead-letter topic: key, value and headers byte for byte, and why. */
export function parkedRecord(
  record: LogRecord,
  group: string,
  fault: Fault,
  nowMs: number,
): NewRecord {
  const told: [string, string][] = [
    ['dlq-topic', record.topic],
    ['dlq-partition', String(record.partition)],
    ['dlq-offset', String(record.offset)],
    ['dlq-timestamp', String(record.timestamp)],
    ['dlq-group', group],
    ['dlq-error-type', fault.type],
    ['dlq-error-message', fault.message.slice(0, messageMax).toWellFormed()],
    ['dlq-attempts', String(fault.attempts)],
    ['dlq-first-failed-at', new Date(fault.firstFailedAtMs).toISOString()],
  ]
  return {
    topic: dlqTopic(record.topic, group),
    key: record.key,
    value: record.value,
    headers: [
      ...record.headers,
      ...told.map(([name, text]): [string, Uint8Array] => [name, encoder.encode(text)]),
    ],
    // Retention counts from the parking, not from an event that may be weeks old.
    timestamp: nowMs,
  }
}

const minuteMs = 60_000

/** At most so many parked records in a minute; then somebody should look before there are more. */
export class ParkingLimit {
  readonly #max: number
  #parkedMs: number[] = []

  constructor(max: number) {
    this.#max = max
  }

  /** How many more may be parked now. */
  left(nowMs: number): number {
    this.#parkedMs = this.#parkedMs.filter((at) => at > nowMs - minuteMs)
    return this.#max - this.#parkedMs.length
  }

  count(nowMs: number): void {
    this.#parkedMs.push(nowMs)
  }

  forget(): void {
    this.#parkedMs = []
  }
}
