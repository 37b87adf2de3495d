import type { Log } from '#runtime/log.ts'
import type { Holder, Outbox } from './outbox.ts'

export interface LeaseEvents {
  /** A shard is this relay's; nothing is known of it. */
  taken(shard: number): void
  /** Nobody had held it for a moment, and now it is this relay's again. */
  lapsed(shard: number): void
  /** Other relays have them. */
  lost(shards: readonly number[]): Promise<void>
  /** More relays live than before: this shard is to be left once nothing of it is on its way. */
  leave(shard: number): void
}

export interface LeasesOptions {
  outbox: Outbox
  token: string
  log: Log
  events: LeaseEvents
  now?: () => number
}

const leaseMs = 10_000
const renewMs = 3_000
/** Of a lease: what a read that begins now may take. */
const marginMs = 1_500

/** Which shards are this relay's: its fair share among the relays that live. */
export class Leases {
  readonly #options: LeasesOptions
  readonly #holder: Holder
  readonly #now: () => number
  readonly #held = new Map<number, { renewedAt: number; isLeaving: boolean }>()
  #relays = 1
  #renewedAt = 0

  constructor(options: LeasesOptions) {
    this.#options = options
    this.#holder = { token: options.token, leaseMs }
    this.#now = options.now ?? (() => performance.now())
  }

  get relays(): number {
    return this.#relays
  }

  get held(): number[] {
    return [...this.#held.keys()]
  }

  /** Whether nobody else can have the shard yet. */
  isSure(shard: number): boolean {
    const held = this.#held.get(shard)
    return held !== undefined && this.#now() - held.renewedAt < leaseMs - marginMs
  }

  /** About once a second. Rejects when the outbox is out of reach. */
  async look(): Promise<void> {
    const { outbox, events } = this.#options
    await this.renewOnly()
    await this.#count()
    const share = Math.ceil(outbox.shards / this.#relays)
    const staying = [...this.#held].filter(([, { isLeaving }]) => !isLeaving)
    for (const [shard, held] of staying.slice(share)) {
      held.isLeaving = true
      events.leave(shard)
    }
    // One that is on its way out would be taken again, and given up again.
    if (this.#held.size < share) await this.#take(share - this.#held.size)
  }

  /** Shards that nothing is on its way of. */
  async release(shards: readonly number[]): Promise<void> {
    for (const shard of shards) this.#held.delete(shard)
    await this.#options.outbox.release(shards, this.#holder)
  }

  /** Gives up all. */
  async leave(): Promise<void> {
    await this.release(this.held)
    await this.goes()
  }

  /** The others may take more from now on. */
  goes(): Promise<void> {
    return this.#options.outbox.leave(this.#holder)
  }

  /** Keeps what is held. */
  async renewOnly(): Promise<void> {
    const now = this.#now()
    if (now - this.#renewedAt >= renewMs) await this.#renew(now)
  }

  async #count(): Promise<void> {
    const { outbox, log } = this.#options
    let relays: number
    try {
      relays = Math.max(1, await outbox.announce(this.#holder))
    } catch (error) {
      // Of several servers it is the first that knows: the others' shards are held on by the last count.
      log.debug('relays cannot be counted', { error })
      return
    }
    if (relays !== this.#relays) log.info('relays that live', { relays })
    this.#relays = relays
  }

  async #renew(now: number): Promise<void> {
    const { outbox, events, log } = this.#options
    const states = await outbox.renew(this.held, this.#holder)
    const lost: number[] = []
    for (const [shard, state] of states) {
      const held = this.#held.get(shard)
      if (held === undefined) continue
      if (state === 'lost') {
        this.#held.delete(shard)
        lost.push(shard)
        continue
      }
      held.renewedAt = now
      if (state === 'anew') events.lapsed(shard)
    }
    this.#renewedAt = now
    if (lost.length === 0) return
    log.warn('other relays have taken shards over', { shards: lost.length })
    await events.lost(lost)
  }

  async #take(max: number): Promise<void> {
    const { outbox, events, log } = this.#options
    const now = this.#now()
    const free = Array.from({ length: outbox.shards }, (_, shard) => shard)
      .filter((shard) => !this.#held.has(shard))
      // Two relays that look at once shall not want the same.
      .map((shard) => ({ shard, rank: Math.random() }))
      .toSorted((a, b) => a.rank - b.rank)
      .map(({ shard }) => shard)
    const taken = await outbox.take(free, this.#holder, max)
    for (const shard of taken) {
      this.#held.set(shard, { renewedAt: now, isLeaving: false })
      events.taken(shard)
    }
    if (taken.length > 0) log.info('took shards', { taken: taken.length, held: this.#held.size })
  }
}
