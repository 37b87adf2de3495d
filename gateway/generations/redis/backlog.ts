import { shards } from '#events/murmur2.ts'
import type { DependencyHealth } from '#runtime/health.ts'
import type { GenerationsOptions } from '../generations.ts'
import { groupsOf } from './groups.ts'
import type { Routes } from './routes.ts'

export interface BacklogOptions
  extends Pick<GenerationsOptions, 'outboxMaxEvents' | 'outboxMaxBytes'> {
  /** This node's clock. */
  now?: () => number
}

/** Of one shard. */
interface Waiting {
  events: number
  bytes: number
  /** Of the oldest that waits. */
  ageMs: number
  isHeld: boolean
  refused: number
}

const callShardsMax = 64
const numbersOfShard = 5
const crowdedFrom = 0.5
/** What a relay that works leaves behind is younger. */
const lateMs = 10_000
/** A shard changes its relay within so long. */
const handOverMs = 5_000
const clockMs = 1_000

/** What waits in the outboxes, as of the last look. */
export class Backlog {
  readonly #routes: Routes
  readonly #options: BacklogOptions
  readonly #eventsMax: number
  readonly #bytesMax: number
  #shards: readonly Waiting[] | null = null
  #clockOffMs = 0

  constructor(routes: Routes, options: BacklogOptions) {
    this.#routes = routes
    this.#options = options
    this.#eventsMax = Math.max(1, Math.ceil(options.outboxMaxEvents / shards))
    this.#bytesMax = Math.max(1, Math.ceil(options.outboxMaxBytes / shards))
  }

  /** One busy session fills its own shard; only what stands still fills them all. */
  get isFull(): boolean {
    const all = this.#shards ?? []
    return all.filter((shard) => this.#fillOf(shard) >= 1).length >= shards / 2
  }

  /** How far Redis' clock is ahead of this node's, beyond what a round trip explains. */
  get clockOffMs(): number {
    return this.#clockOffMs
  }

  isCrowded(shard: number): boolean {
    const waiting = this.#shards?.[shard]
    return waiting !== undefined && this.#fillOf(waiting) >= crowdedFrom
  }

  get events(): number {
    return (this.#shards ?? []).reduce((sum, { events }) => sum + events, 0)
  }

  get ageMs(): number {
    return (this.#shards ?? []).reduce((most, { ageMs }) => Math.max(most, ageMs), 0)
  }

  relay(): DependencyHealth {
    const all = this.#shards
    if (all === null) return { state: 'down', reason: 'not known yet' }
    const { events, ageMs } = this
    const waits =
      events === 0
        ? 'nothing waits'
        : `${events} events wait, the oldest for ${Math.round(ageMs / 1_000)} s`
    if (!all.some(({ isHeld }) => isHeld))
      return { state: 'down', reason: `no relay runs; ${waits}` }
    const left = all.filter(({ isHeld, ageMs: age }) => !isHeld && age > handOverMs).length
    if (left > 0) return { state: 'down', reason: `${left} shards have no relay; ${waits}` }
    if (ageMs > lateMs) return { state: 'down', reason: waits }
    const refused = all.reduce((sum, shard) => sum + shard.refused, 0)
    if (refused === 0) return { state: 'up' }
    return { state: 'up', reason: `${refused} events were refused by the event log: bun run dlq` }
  }

  /** Rejects when Redis is out of reach: then what was known is not any more. */
  async look(): Promise<void> {
    try {
      await this.#look()
    } catch (error) {
      this.#shards = null
      throw error
    }
  }

  async #look(): Promise<void> {
    const routes = this.#routes
    const { now = Date.now } = this.#options
    const all = routes.bases.map((_, shard) => shard)
    const found: Waiting[] = []
    let clockOffMs = 0
    await Promise.all(
      groupsOf(routes, all, callShardsMax, (shard) => shard).map(async ({ shard, items }) => {
        const sentAt = now()
        const bases = items.map(({ base }) => base)
        const reply = (await routes.run('backlog', shard, bases)) as number[]
        const [at = sentAt] = reply
        const offMs = Math.min(0, at - sentAt) + Math.max(0, at - now())
        if (Math.abs(offMs) > Math.abs(clockOffMs)) clockOffMs = offMs
        for (const [index, { item }] of items.entries()) {
          found[item] = backlogOf(reply, index)
        }
      }),
    )
    this.#shards = found
    this.#clockOffMs = Math.abs(clockOffMs) > clockMs ? clockOffMs : 0
  }

  #fillOf({ events, bytes }: Waiting): number {
    return Math.max(events / this.#eventsMax, bytes / this.#bytesMax)
  }
}

/** What the script answers of the shard that was asked for in this place. */
export function backlogOf(reply: readonly number[], at: number): Waiting {
  const from = 1 + at * numbersOfShard
  const [events = 0, bytes = 0, ageMs = 0, held = 0, refused = 0] = reply.slice(from)
  return { events, bytes, ageMs, isHeld: held === 1, refused }
}
