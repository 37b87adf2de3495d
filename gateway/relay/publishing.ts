import type { Produced } from '#eventlog/kafka/producing.ts'
import type { EventRecord } from '#events/codec.ts'
import type { Log } from '#runtime/log.ts'
import type { Lane } from './lane.ts'
import type { RelayMetrics } from './metrics.ts'
import type { Entry, Outbox } from './outbox.ts'
import { Removing } from './removing.ts'

/** Where events go. */
export interface Publisher {
  /** What became of each, in their order. Never rejects. */
  produceEach(records: readonly EventRecord[]): Promise<Produced[]>
  /** Drops all that is on its way. */
  purge(): Promise<void>
}

export interface PublishingParts {
  outbox: Outbox
  publisher: Publisher
  metrics: RelayMetrics
  log: Log
}

const backoffMs = { first: 100, most: 2_000 }
const refusedAloneMax = 2
const sayEveryMs = 30_000

/** Hands entries over to the log, and does with each what its outcome asks for. */
export class Publishing implements Disposable {
  /** Entries and bytes that are read and not settled yet, of all shards. */
  unsettled = 0
  bytes = 0
  /** Why the log took nothing the last time. */
  trouble: string | null = null
  /** Events that wait for an operator. */
  refused = 0
  readonly #parts: PublishingParts
  readonly #removing: Removing
  readonly #onQuiet: () => void
  #saidAt = Number.NEGATIVE_INFINITY

  /** `onQuiet`: nothing of some shard is on its way any more. */
  constructor(parts: PublishingParts, onQuiet: () => void) {
    this.#parts = parts
    this.#removing = new Removing(parts.outbox, parts.log)
    this.#onQuiet = onQuiet
  }

  /** `bytes`: of all of them. Never rejects. */
  async publish(lane: Lane, entries: readonly Entry[], bytes: number): Promise<void> {
    const { publisher, metrics } = this.#parts
    this.unsettled += entries.length
    this.bytes += bytes
    const startedAt = performance.now()
    const results = await publisher.produceEach(entries.map(({ record }) => record))
    this.bytes -= bytes
    lane.onTheWay -= entries.length
    const taken: Entry[] = []
    const refused: { entry: Entry; reason: string }[] = []
    let trouble: string | null = null
    for (const [at, entry] of entries.entries()) {
      const result = results[at]
      if (result?.is === 'delivered') taken.push(entry)
      else if (result?.is === 'refused') refused.push({ entry, reason: result.reason })
      else trouble ??= result?.reason ?? 'nothing was told'
    }
    if (taken.length > 0) metrics.published(performance.now() - startedAt)
    if (taken.length > 0) await this.#taken(lane, taken, trouble === null && refused.length === 0)
    if (trouble !== null) this.#failed(lane, trouble)
    const isAlone = entries.length === 1
    for (const { entry, reason } of refused) await this.#refusedOne(lane, entry, reason, isAlone)
    this.#settle(lane, entries.length - taken.length)
  }

  async #taken(lane: Lane, entries: readonly Entry[], isAll: boolean): Promise<void> {
    if (isAll) {
      lane.isCareful = false
      lane.failures = 0
      this.trouble = null
    } else {
      // Nothing behind what has failed is read before the outcome of all is known.
      lane.stop()
    }
    for (const { id } of entries) lane.suspects.delete(id)
    await this.#removing.remove(lane.shard, entries)
    this.#settle(lane, entries.length)
  }

  #failed(lane: Lane, reason: string): void {
    lane.stop()
    lane.isCareful = true
    lane.failures += 1
    const full = Math.min(backoffMs.most, backoffMs.first * 2 ** (lane.failures - 1))
    lane.notBefore = performance.now() + full * (0.5 + Math.random() / 2)
    const isTopic = reason.startsWith('there is no topic')
    const said = isTopic ? `${reason}: bun run topics` : reason
    if (said !== this.trouble || performance.now() - this.#saidAt > sayEveryMs) {
      this.#saidAt = performance.now()
      this.#parts.log.warn('events wait: Kafka did not take them', { reason: said })
    }
    this.trouble = said
  }

  /** A lot may be refused for one of its records, so an entry is put aside only when it is refused by itself, twice. */
  async #refusedOne(lane: Lane, entry: Entry, reason: string, isAlone: boolean): Promise<void> {
    const { outbox, metrics, log } = this.#parts
    lane.stop()
    const times = (lane.suspects.get(entry.id) ?? 0) + (isAlone ? 1 : 0)
    lane.suspects.set(entry.id, times)
    if (times < refusedAloneMax) return
    try {
      if (!(await outbox.refuse(lane.shard, entry.id, reason))) return
      metrics.refused(entry.record.topic)
      this.refused += 1
      const { topic } = entry.record
      log.error('Kafka refuses an event', { topic, shard: lane.shard, id: entry.id, reason })
      lane.suspects.delete(entry.id)
    } catch (error) {
      // It comes again with the next read.
      log.warn('a refused event cannot be put aside now', { error })
    }
  }

  #settle(lane: Lane, count: number): void {
    this.unsettled -= count
    if (lane.settle(count)) this.#onQuiet()
  }

  [Symbol.dispose](): void {
    this.#removing[Symbol.dispose]()
  }
}
