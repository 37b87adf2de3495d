import type { EventLog, From, Membership, Partition, Position } from '#eventlog/event-log.ts'
import type { Log } from '#runtime/log.ts'
import { LogOutage } from './batch.ts'
import { backoffMs, type Clock, systemClock } from './clock.ts'
import type { ConsumerDefinition } from './define.ts'
import { beginningOf } from './from.ts'
import { consumerMetrics, lagOf, type PartitionLag, reportLag } from './metrics.ts'
import { logOffsets, type Offsets, tableOffsets } from './offsets.ts'
import { parkedRecord } from './park.ts'
import { type PartitionHost, PartitionRun } from './partition.ts'
import { wantsOf } from './read-record.ts'
import type { ConsumerHealth, RunningConsumer, RunOptions } from './running.ts'
import { serverTransactions, Transactions } from './transactions.ts'

export type { ConsumerHealth, RunningConsumer, RunOptions } from './running.ts'

const defaultMaxAttempts = 5
const defaultBatchSize = 500
const recheckEveryMs = 30_000
// A member that has no partitions by then is one too many, and well.
const placedMaxMs = 15_000
// A server that is away must not keep a member that leaves.
const tellMaxMs = 2_000

/** Consumes as the definition says, in its group, until the signal aborts. */
export function runConsumer(definition: ConsumerDefinition, options: RunOptions): RunningConsumer {
  const run = new ConsumerRun(definition, options)
  const stopReporting = reportLag(definition.groupId, () => run.lag())
  return {
    group: definition.groupId,
    finished: run.run().finally(stopReporting),
    health: () => run.health(),
    lag: () => run.lag(),
    resume: () => run.resume(),
  }
}

class ConsumerRun {
  readonly #definition: ConsumerDefinition
  readonly #options: RunOptions
  readonly #clock: Clock
  readonly #logger: Log
  readonly #from: From
  readonly #host: PartitionHost
  readonly #partitions = new Map<string, PartitionRun>()
  readonly #seeks: Position[] = []
  readonly #told = new Map<string, number>()
  readonly #paused = new Set<string>()
  #membership: Membership | null = null
  #trouble: string | null = 'has not joined'
  #placedByMs = 0
  #poll = new AbortController()

  constructor(definition: ConsumerDefinition, options: RunOptions) {
    this.#definition = definition
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#logger = options.logger.child({ group: definition.groupId })
    this.#from = beginningOf(definition.from, this.#clock.now())
    this.#host = {
      definition,
      maxAttempts: definition.maxAttempts ?? defaultMaxAttempts,
      batchSize: definition.batchSize ?? defaultBatchSize,
      wants: wantsOf(definition),
      offsets: this.#offsets(),
      metrics: consumerMetrics(),
      logger: this.#logger,
      clock: this.#clock,
      park: (record, fault) =>
        this.#produce(parkedRecord(record, definition.groupId, fault, this.#clock.now())),
      relocate: (partition) => void this.#relocate(partition),
      drained: (partition) => this.#resume(partition),
    }
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    const onAbort = () => this.#poll.abort()
    signal.addEventListener('abort', onAbort)
    const telling = this.#tellRegularly()
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await this.#member(() => {
          failures = 0
        })
      } catch (error) {
        if (signal.aborted) break
        this.#trouble = error instanceof Error ? error.message : String(error)
        this.#logger.warn('event log is away, joining again', { error })
        await this.#clock.sleep(backoffMs(failures, this.#clock), signal)
      }
    }
    await telling
    signal.removeEventListener('abort', onAbort)
  }

  async health(): Promise<ConsumerHealth> {
    if (this.#trouble !== null) return { state: 'down', reason: this.#trouble }
    if (this.#partitions.size === 0 && this.#clock.now() < this.#placedByMs) {
      return { state: 'down', reason: 'waits for its partitions' }
    }
    for (const { trouble } of this.#partitions.values()) {
      if (trouble !== null) return { state: 'down', reason: trouble }
    }
    const { database } = this.#options
    return this.#host.offsets.isTable && database ? database.health() : { state: 'up' }
  }

  async lag(): Promise<PartitionLag[]> {
    const { topics } = this.#definition
    const kept = await Promise.all(topics.map((topic) => this.#options.eventLog.kept(topic)))
    const nowMs = this.#clock.now()
    return kept
      .flatMap((ranges) => ranges ?? [])
      .flatMap((range) => {
        const run = this.#partitions.get(nameOf(range))
        return run === undefined ? [] : [lagOf(range, run, nowMs)]
      })
  }

  resume(): number {
    return [...this.#partitions.values()].filter((partition) => partition.resume()).length
  }

  #offsets(): Offsets {
    const { once, transactional = once, groupId, name } = this.#definition
    const { database, eventLog, clock } = this.#options
    const from = this.#from
    if (!transactional) return logOffsets({ group: groupId, from, eventLog, logger: this.#logger })
    if (database === undefined) throw new TypeError(`${name} needs a database`)
    const transactions =
      this.#options.transactions ??
      new Transactions(database, { ...serverTransactions, ...(clock && { clock }) })
    return tableOffsets({ group: groupId, from, database, eventLog, transactions })
  }

  async #member(joined: () => void): Promise<void> {
    const { eventLog, signal } = this.#options
    const { groupId, topics } = this.#definition
    const membership = await eventLog.join({
      group: groupId,
      topics,
      from: this.#from,
      onAssigned: (partitions) => this.#assigned(partitions),
      onRevoked: (partitions) => this.#revoked(partitions),
    })
    this.#membership = membership
    this.#placedByMs = this.#clock.now() + placedMaxMs
    this.#trouble = null
    joined()
    try {
      while (!signal.aborted) await this.#round(membership)
    } finally {
      await this.#revoked([...this.#partitions.values()])
      this.#membership = null
      this.#trouble = 'has left'
      await membership[Symbol.asyncDispose]()
    }
  }

  async #round(membership: Membership): Promise<void> {
    for (let seek = this.#seeks.shift(); seek !== undefined; seek = this.#seeks.shift()) {
      await membership.seek(seek)
      const partition = this.#partitions.get(nameOf(seek))
      partition?.begin(seek.offset)
      if (partition !== undefined) this.#resume(partition)
    }
    this.#poll = new AbortController()
    if (this.#options.signal.aborted) return
    const batches = await membership.poll(this.#host.batchSize, this.#poll.signal)
    for (const batch of batches) {
      const partition = this.#partitions.get(nameOf(batch))
      this.#definition.glance?.(batch.records)
      partition?.receive(batch.records)
      if (!partition?.isFull || partition.isStopping) continue
      membership.pause(batch)
      this.#paused.add(nameOf(batch))
    }
  }

  async #assigned(partitions: Partition[]): Promise<Position[]> {
    const located = await this.#patiently(() => this.#host.offsets.locate(partitions))
    this.#definition.moved?.(partitions)
    for (const place of partitions) {
      const at = located?.find((position) => nameOf(position) === nameOf(place))
      const partition = new PartitionRun(place, at?.offset ?? null, this.#host)
      if (at?.is === 'lost') partition.lose(at.reason)
      this.#partitions.set(nameOf(place), partition)
      this.#told.delete(nameOf(place))
      this.#paused.delete(nameOf(place))
      partition.start()
    }
    return (located ?? []).map(({ topic, partition, offset }) => ({ topic, partition, offset }))
  }

  async #revoked(partitions: Partition[]): Promise<void> {
    const going = partitions.flatMap((place) => this.#partitions.get(nameOf(place)) ?? [])
    // They are not the log's to resume any more, whatever their last batch makes room for.
    for (const partition of going) this.#paused.delete(nameOf(partition))
    await Promise.all(going.map((partition) => partition.stop(this.#options.graceMs ?? 5_000)))
    const told = new AbortController()
    const telling = this.#tell(going).finally(() => told.abort())
    await Promise.race([telling, this.#clock.sleep(tellMaxMs, told.signal)])
    for (const partition of going) this.#partitions.delete(nameOf(partition))
    if (going.length > 0) this.#definition.moved?.(going)
  }

  /** Until it succeeds; null once the consumer stops. */
  async #patiently<T>(ask: () => Promise<T>): Promise<T | null> {
    const { signal } = this.#options
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        const answer = await ask()
        if (failures > 1) this.#trouble = this.#membership ? null : 'has not joined'
        return answer
      } catch (error) {
        this.#trouble = error instanceof Error ? error.message : String(error)
        this.#logger.warn('offsets cannot be read, waiting', { error })
        await this.#clock.sleep(backoffMs(failures, this.#clock), signal)
      }
    }
    return null
  }

  async #relocate(partition: PartitionRun): Promise<void> {
    const located = await this.#patiently(() => this.#host.offsets.locate([partition]))
    const at = located?.[0]
    if (at === undefined) return
    if (at.is === 'lost') {
      partition.lose(at.reason)
      return
    }
    this.#seeks.push({ topic: at.topic, partition: at.partition, offset: at.offset })
    this.#poll.abort()
  }

  #resume(partition: PartitionRun): void {
    if (this.#paused.delete(nameOf(partition))) this.#membership?.resume(partition)
  }

  async #produce(record: Parameters<EventLog['produce']>[0][number]): Promise<void> {
    try {
      await this.#options.eventLog.produce([record])
    } catch (cause) {
      throw new LogOutage(`cannot park in ${record.topic}`, { cause })
    }
  }

  async #tellRegularly(): Promise<void> {
    const { signal, tellEveryMs = 1_000 } = this.#options
    let recheckAtMs = this.#clock.now() + recheckEveryMs
    while (!signal.aborted) {
      await this.#clock.sleep(tellEveryMs, signal)
      if (signal.aborted) return
      await this.#tell([...this.#partitions.values()])
      if (this.#clock.now() < recheckAtMs) continue
      recheckAtMs = this.#clock.now() + recheckEveryMs
      for (const partition of this.#partitions.values()) {
        if (partition.isLost) void this.#relocate(partition)
      }
    }
  }

  /** What has moved since it was last told, to the table (records that nobody wants) and to the log (for lag tools). */
  async #tell(partitions: PartitionRun[]): Promise<void> {
    const moved = partitions.flatMap(({ topic, partition, position }) =>
      position === null || this.#told.get(nameOf({ topic, partition })) === position
        ? []
        : [{ topic, partition, offset: position }],
    )
    if (moved.length === 0) return
    try {
      await this.#host.offsets.advance(moved)
      await this.#membership?.commit(moved)
      for (const position of moved) this.#told.set(nameOf(position), position.offset)
    } catch (error) {
      this.#logger.warn('offsets not told, trying again', { error })
    }
  }
}

function nameOf({ topic, partition }: Partition): string {
  return `${topic}/${partition}`
}
