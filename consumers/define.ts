import type { Db } from '#db/client.ts'
import type { From, LogRecord } from '#eventlog/event-log.ts'
import type { Event } from '#events/event.ts'
import type { Log } from '#runtime/log.ts'
import { fromOf } from './from.ts'

/** An event of a type that this version doesn't know; its envelope is sound. */
export interface UnknownEvent {
  eventType: string
  eventId: string
  timestamp: string
  [field: string]: unknown
}

interface Place {
  topic: string
  partition: number
  offset: number
  /** The record's key as text: the session or conversation. */
  key: string | null
  /** Of a name that stands more than once, the last. */
  headers: Record<string, string>
  /** Milliseconds since the epoch. */
  timestamp: number
  /** The event's JSON as it stands in the log. */
  json: string
}

/** One event and where it stands, parsed and validated. */
export type ConsumedEvent = Place &
  ({ isKnown: true; event: Event } | { isKnown: false; event: UnknownEvent })

export interface HandleContext {
  /** Aborts when the process must go before `handle` has ended: what it did then counts as not done. */
  signal: AbortSignal
  /** 1 for the first time that these events are handed over. */
  attempt: number
  log: Log
  /** The transaction that also moves the group's offset (with `once` or `transactional`). */
  transaction?: Db
  /** Runs after the offset has moved, once; not at all when this try fails. Must not throw. */
  afterwards(run: () => void): void
}

/**
 * Handles events of one partition, in order. Resolving means done; throwing means that none of it is: the same events
 * come again, then in halves, and one that fails alone `maxAttempts` times is parked in `<topic>.<group>.dlq`. Failures
 * of a database or network that is away are waited out and never counted.
 */
export type Handle = (events: ConsumedEvent[], context: HandleContext) => Promise<void>

export interface ConsumerDefinition {
  name: string
  groupId: string
  topics: string[]
  handle: Handle
  /** Each `eventId` is handed over once, however often it stands in the log; `transaction` is then set. */
  once?: boolean
  /** `handle` writes in the transaction that moves the offset (default: as `once`). Else offsets are the log's own. */
  transactional?: boolean
  /** How often an event may fail alone before it is parked; 5 by default. */
  maxAttempts?: number
  /** At most so many events are handed over at a time; 500 by default. */
  batchSize?: number
  /** Where a group that is new begins: at the beginning by default, else also at a time, as `-7d` or in ISO 8601. */
  from?: From | (string & {})
  /** Only these types are read and handed over; all by default. */
  eventTypes?: readonly string[]
  /** Types passed by unread. */
  exceptTypes?: readonly string[]
  /** Sees every record that arrives, wanted or not, perhaps more than once. Must be cheap and not throw. */
  glance?(records: readonly LogRecord[]): void
  /** `partitions` have come to this member or gone: what `glance` remembers of them is void. */
  moved?(partitions: readonly { topic: string; partition: number }[]): void
}

/** The definition as given, checked: a mistake in it is a `TypeError` that names the field. */
export function defineConsumer(definition: ConsumerDefinition): ConsumerDefinition {
  const { name, groupId, topics, handle, maxAttempts = 1, batchSize = 1, from } = definition
  require(typeof name === 'string' && name !== '', 'name', 'a text')
  require(typeof groupId === 'string' && groupId !== '', 'groupId', 'a text')
  require(Array.isArray(topics) && topics.length > 0, 'topics', 'a list of at least one topic')
  require(typeof handle === 'function', 'handle', 'a function')
  require(Number.isInteger(maxAttempts) && maxAttempts > 0, 'maxAttempts', 'at least 1')
  require(Number.isInteger(batchSize) && batchSize > 0, 'batchSize', 'at least 1')
  const isPlace = typeof from !== 'string' || fromOf(from, 0) !== null
  require(isPlace, 'from', 'beginning, end, like -7d, or an ISO 8601 time')
  const isUntransacted = definition.once === true && definition.transactional === false
  require(!isUntransacted, 'transactional', 'true with once')
  return definition
}

function require(isRight: boolean, field: string, wanted: string): void {
  if (!isRight) throw new TypeError(`defineConsumer: ${field} must be ${wanted}`)
}
