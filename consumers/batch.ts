import type { Db } from '#db/client.ts'
import type { LogRecord, Partition } from '#eventlog/event-log.ts'
import type { Log } from '#runtime/log.ts'
import { Away, isAway } from './away.ts'
import { backoffMs, type Clock } from './clock.ts'
import type { ConsumedEvent, ConsumerDefinition } from './define.ts'
import { type ConsumerMetrics, inBatchSpan, inWriteSpan } from './metrics.ts'
import { Fenced, type Offsets } from './offsets.ts'
import type { Fault, ParkingLimit } from './park.ts'
import { headerOf, readRecord, type Wants } from './read-record.ts'

/** The log could not be reached or did not take a record: a dependency that is away. */
export class LogOutage extends Away {
  override name = 'LogOutage'
}

/** The member must go: what is in hand is not done. */
export class Stopped extends Error {
  override name = 'Stopped'
}

/** What handling needs of the consumer. */
export interface BatchHost {
  definition: ConsumerDefinition
  maxAttempts: number
  wants: Wants
  offsets: Offsets
  metrics: ConsumerMetrics
  logger: Log
  clock: Clock
  /** Resolves once the record is in its dead-letter topic. Rejects with `LogOutage`. */
  park(record: LogRecord, fault: Fault): Promise<void>
}

/** What handling needs of the partition. */
export interface BatchPlace extends Partition {
  limit: ParkingLimit
  logger: Log
  stopping: AbortSignal
  /** Given to `handle`. */
  hand: AbortSignal
  /** Stands still for a minute or until resumed. Throws `Stopped`. */
  hold(): Promise<void>
  /** Stands still for a moment because of this failure. Throws `Stopped`. */
  waitOut(error: unknown): Promise<void>
  /** The first `records` of the queue are handled, all up to `next` with them. */
  done(records: number, next: number): void
}

type Item =
  | { record: LogRecord; is: 'event'; consumed: ConsumedEvent }
  | { record: LogRecord; is: 'bad'; fault: Fault }

type Failure = Omit<Fault, 'type'>

/** Handles the records of one partition: retries, halves what fails, parks what fails alone. */
export class BatchHandler {
  readonly #host: BatchHost
  readonly #place: BatchPlace
  /** Offsets parked by a try that then failed: not parked again by the next. */
  readonly #parked = new Set<number>()

  constructor(host: BatchHost, place: BatchPlace) {
    this.#host = host
    this.#place = place
  }

  /** All of them, in order; `next` is the offset to go on from. Throws `Fenced` or `Stopped`, nothing else. */
  async handle(records: readonly LogRecord[], next: number): Promise<void> {
    const { clock, offsets } = this.#host
    const nowMs = clock.now()
    const items = records.map((record) => readItem(record, offsets.isTable, nowMs))
    const left = this.#place.limit.left(nowMs)
    let bad = 0
    const cut = items.findIndex((item) => {
      if (item.is === 'bad') bad += 1
      return bad > left
    })
    if (cut === -1) {
      await this.#measured(items, next)
      return
    }
    const held = items[cut]
    if (cut > 0 && held !== undefined) await this.#measured(items.slice(0, cut), held.record.offset)
    await this.#place.hold()
  }

  async #measured(items: Item[], next: number): Promise<void> {
    const { definition, metrics, clock } = this.#host
    const { topic, partition } = this.#place
    const startedMs = clock.now()
    const labels = { group: definition.groupId, topic }
    const parents = items.map((item) =>
      item.is === 'event' ? headerOf(item.record, 'traceparent') : undefined,
    )
    const attributes = { ...labels, partition, records: items.length }
    await inBatchSpan(`consume ${definition.name}`, attributes, parents, () =>
      this.#whole(items, next, this.#host.maxAttempts),
    )
    metrics.batchDuration.record(clock.now() - startedMs, labels)
  }

  async #whole(items: Item[], next: number, tries: number): Promise<void> {
    const events = items.filter((item) => item.is === 'event').length
    const failure = await this.#try(items, next, events === 1 ? this.#host.maxAttempts : tries)
    if (failure === null) return
    if (events > 1) {
      const middle = Math.ceil(items.length / 2)
      const right = items.slice(middle)
      await this.#whole(items.slice(0, middle), right[0]?.record.offset ?? next, 1)
      await this.#whole(right, next, 1)
      return
    }
    while (this.#place.limit.left(this.#host.clock.now()) <= 0) await this.#place.hold()
    const parked = items.map((item): Item => {
      if (item.is === 'bad') return item
      return { record: item.record, is: 'bad', fault: { type: 'handler', ...failure } }
    })
    await this.#try(parked, next, Number.POSITIVE_INFINITY)
  }

  /** Null when done, else how it failed each time. What it depends on is waited for. */
  async #try(items: Item[], next: number, tries: number): Promise<Failure | null> {
    const { clock, metrics, definition } = this.#host
    const { stopping, logger, topic } = this.#place
    let firstFailedAtMs: number | null = null
    for (let attempt = 1; ; ) {
      try {
        await this.#once(items, next, attempt)
        return null
      } catch (error) {
        if (error instanceof Fenced) throw error
        if (stopping.aborted) throw new Stopped('stopped')
        if (isAway(error)) {
          await this.#place.waitOut(error)
          continue
        }
        firstFailedAtMs ??= clock.now()
        metrics.retries.add(1, { group: definition.groupId, topic })
        const offset = items[0]?.record.offset
        logger.warn('handling failed', { offset, records: items.length, attempt, error })
        const message = error instanceof Error ? error.message : String(error)
        if (attempt >= tries) return { message, attempts: attempt, firstFailedAtMs }
        await clock.sleep(backoffMs(attempt, clock), stopping)
        if (stopping.aborted) throw new Stopped('stopped')
        attempt += 1
      }
    }
  }

  async #once(items: Item[], next: number, attempt: number): Promise<void> {
    const { definition, offsets, metrics, logger, wants } = this.#host
    const { topic, partition, hand } = this.#place
    const afterwards: (() => void)[] = []
    let handled = 0
    const first = items[0]?.record.offset ?? next
    const work = async (transaction?: Db) => {
      // A transaction that was rolled back runs its works again.
      afterwards.length = 0
      await this.#park(items)
      const all = items
        .flatMap((item) => (item.is === 'event' ? [item.consumed] : []))
        // Headers may name another type than the value, or none.
        .filter(({ event }) => wants(event.eventType))
      const isOnce = definition.once === true && transaction !== undefined
      const events = isOnce ? await offsets.onlyNew(transaction, all) : all
      handled = events.length
      if (handled === 0) return
      await definition.handle(events, {
        signal: hand,
        attempt,
        log: logger,
        afterwards: (run) => afterwards.push(run),
        ...(transaction && { transaction }),
      })
    }
    const commit = () => offsets.commit({ topic, partition, first, next }, work)
    await (offsets.isTable ? inWriteSpan(definition.groupId, commit) : commit())
    this.#parked.clear()
    this.#place.done(items.length, next)
    metrics.processed.add(handled, { group: definition.groupId, topic })
    for (const run of afterwards) this.#afterwards(run)
  }

  #afterwards(run: () => void): void {
    try {
      run()
    } catch (error) {
      // The offset has moved: to try again would do all of it twice.
      this.#place.logger.error('failed after the batch', { error })
    }
  }

  async #park(items: Item[]): Promise<void> {
    const { park, metrics, clock, definition } = this.#host
    const { limit, logger, topic } = this.#place
    for (const item of items) {
      if (item.is === 'event' || this.#parked.has(item.record.offset)) continue
      await park(item.record, item.fault)
      this.#parked.add(item.record.offset)
      limit.count(clock.now())
      const { type: errorType, attempts } = item.fault
      metrics.parked.add(1, { group: definition.groupId, topic, error_type: errorType })
      logger.warn('record parked', { offset: item.record.offset, errorType, attempts })
    }
  }
}

function readItem(record: LogRecord, isStored: boolean, nowMs: number): Item {
  const reading = readRecord(record, isStored)
  if (reading.is === 'event') return { record, is: 'event', consumed: reading.consumed }
  const { type, message } = reading
  return { record, is: 'bad', fault: { type, message, attempts: 1, firstFailedAtMs: nowMs } }
}
