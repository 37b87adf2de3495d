import type { LogRecord, Partition } from '#eventlog/event-log.ts'
import type { Log } from '#runtime/log.ts'
import { BatchHandler, type BatchHost, Stopped } from './batch.ts'
import { backoffMs } from './clock.ts'
import { Fenced } from './offsets.ts'
import { ParkingLimit } from './park.ts'
import { isPassedBy } from './read-record.ts'

const parkedAMinuteMax = 20
const holdMs = 60_000

/** What a partition needs of the consumer that it belongs to. */
export interface PartitionHost extends BatchHost {
  batchSize: number
  /** Another member has moved the offset: to be read again, then `begin` or `lose`. */
  relocate(partition: PartitionRun): void
  /** The queue has room again. */
  drained(partition: PartitionRun): void
}

/** One partition in the hands of this member: its records one batch after the other, whatever happens. */
export class PartitionRun implements Partition {
  readonly topic: string
  readonly partition: number
  readonly #host: PartitionHost
  readonly #logger: Log
  readonly #limit = new ParkingLimit(parkedAMinuteMax)
  readonly #batches: BatchHandler
  readonly #stopping = new AbortController()
  readonly #hand = new AbortController()
  #queue: LogRecord[] = []
  #position: number | null
  #arrived: number | null
  #isSeeking = false
  #isHeld = false
  #failures = 0
  #outage: string | null = null
  #lost: string | null = null
  #wake: () => void = () => undefined
  #release: () => void = () => undefined
  #loop: Promise<void> = Promise.resolve()

  /** `position`: the next offset to be handled; null: that of the first record that comes. */
  constructor(place: Partition, position: number | null, host: PartitionHost) {
    this.topic = place.topic
    this.partition = place.partition
    this.#position = position
    this.#arrived = position
    this.#host = host
    this.#logger = host.logger.child({ topic: place.topic, partition: place.partition })
    this.#batches = new BatchHandler(host, {
      topic: place.topic,
      partition: place.partition,
      limit: this.#limit,
      logger: this.#logger,
      stopping: this.#stopping.signal,
      hand: this.#hand.signal,
      hold: () => this.#hold(),
      waitOut: (error) => this.#waitOut(error),
      done: (records, next) => this.#done(records, next),
    })
  }

  start(): void {
    this.#loop = this.#run()
  }

  /** The next offset that is not handled; null when it isn't known (yet). */
  get position(): number | null {
    if (this.#isSeeking) return null
    return this.#queue.length === 0 ? this.#arrived : this.#position
  }

  /** When the oldest record that waits was made; null when none waits. */
  get waitingSinceMs(): number | null {
    return this.#queue[0]?.timestamp ?? null
  }

  get isFull(): boolean {
    return this.#lost !== null || this.#queue.length >= 2 * this.#host.batchSize
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  get isLost(): boolean {
    return this.#lost !== null
  }

  /** Why it doesn't go on; null when it does. */
  get trouble(): string | null {
    const where = `${this.topic}/${this.partition}`
    if (this.#lost !== null) return `${where}: ${this.#lost}`
    if (this.#isHeld) return `${where}: more than ${parkedAMinuteMax} records parked in a minute`
    return this.#outage === null ? null : `${where}: ${this.#outage}`
  }

  receive(records: readonly LogRecord[]): void {
    if (this.#isSeeking || this.#lost !== null) return
    const { definition, wants } = this.#host
    for (const record of records) {
      if (this.#arrived !== null && record.offset < this.#arrived) continue
      this.#position ??= record.offset
      this.#arrived = record.offset + 1
      if (isPassedBy(record, definition.groupId, wants)) continue
      if (this.#queue.length === 0) this.#position = record.offset
      this.#queue.push(record)
    }
    if (this.#queue.length > 0) this.#wake()
  }

  /** Goes on without waiting for the minute after too many parked records. */
  resume(): boolean {
    const wasHeld = this.#isHeld
    this.#release()
    return wasHeld
  }

  /** Drops what waits; takes nothing until `begin`. */
  forget(): void {
    this.#isSeeking = true
    this.#queue = []
  }

  begin(position: number): void {
    this.#queue = []
    this.#position = position
    this.#arrived = position
    this.#isSeeking = false
    this.#lost = null
  }

  /** The offset to go on from is not in the log: stands still, says so, skips nothing. */
  lose(reason: string): void {
    this.forget()
    if (this.#lost === null) this.#logger.error('partition stopped', { reason })
    this.#lost = reason
  }

  /** Ends after what is in hand; after `graceMs` `handle` is told to end, too. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort()
    this.#wake()
    this.#release()
    const { clock } = this.#host
    const isOver = new AbortController()
    const loop = this.#loop.finally(() => isOver.abort())
    await Promise.race([loop, clock.sleep(graceMs, isOver.signal)])
    this.#hand.abort()
    await Promise.race([loop, clock.sleep(graceMs / 4, isOver.signal)])
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      if (this.#queue.length === 0) {
        await this.#arrival()
        continue
      }
      await this.#host.offsets.turn()
      const records = this.#queue.slice(0, this.#host.batchSize)
      const next = this.#queue[records.length]?.offset ?? this.#arrived
      if (signal.aborted || records.length === 0 || next === null) continue
      try {
        await this.#batches.handle(records, next)
      } catch (error) {
        if (error instanceof Fenced) this.#moved()
        else if (!(error instanceof Stopped)) throw error
      }
    }
  }

  #arrival(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
      if (this.#queue.length > 0 || this.#stopping.signal.aborted) resolve()
    })
  }

  #moved(): void {
    this.#logger.warn('another member has moved the offset, reading it again')
    this.forget()
    this.#host.relocate(this)
  }

  #done(records: number, next: number): void {
    this.#queue.splice(0, records)
    this.#position = next
    if (this.#outage !== null) this.#logger.info('goes on')
    this.#outage = null
    this.#failures = 0
    if (this.#queue.length < this.#host.batchSize) this.#host.drained(this)
  }

  async #waitOut(error: unknown): Promise<void> {
    const { clock } = this.#host
    if (this.#outage === null) this.#logger.warn('a dependency is away, waiting', { error })
    this.#outage = error instanceof Error ? error.message : String(error)
    this.#failures += 1
    await clock.sleep(backoffMs(this.#failures, clock), this.#stopping.signal)
    if (this.#stopping.signal.aborted) throw new Stopped('stopped')
  }

  async #hold(): Promise<void> {
    const { signal } = this.#stopping
    const wait = new AbortController()
    this.#release = () => wait.abort()
    this.#isHeld = true
    const seconds = holdMs / 1_000
    this.#logger.error('too many records parked in a minute, partition paused', { seconds })
    if (!signal.aborted) await this.#host.clock.sleep(holdMs, wait.signal)
    this.#isHeld = false
    this.#limit.forget()
    if (signal.aborted) throw new Stopped('stopped')
  }
}
