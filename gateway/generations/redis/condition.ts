import { shards } from '#events/murmur2.ts'
import type { GenerationsOptions } from '../generations.ts'
import { groupsOf } from './groups.ts'
import { outboxKeys } from './outbox.ts'
import type { Routes } from './routes.ts'
import type { Server } from './server.ts'

const lookMs = 1_000
const memoryPart = 0.8

interface ServerCondition {
  isMemoryFull: boolean
  /** What an operator has to set right; null: nothing. */
  fault: string | null
}

type Bounds = Pick<GenerationsOptions, 'outboxMaxEvents' | 'outboxMaxBytes'>

/** How the servers are, by a look each second. */
export class Condition implements Disposable {
  readonly #routes: Routes
  readonly #bounds: Bounds
  readonly #servers = new Map<Server, ServerCondition>()
  readonly #timer: Timer
  #isOutboxFull = false
  #isLooking = false

  constructor(routes: Routes, bounds: Bounds) {
    this.#routes = routes
    this.#bounds = bounds
    this.#timer = setInterval(() => void this.#look(), lookMs)
    this.#timer.unref()
  }

  /** Where this shard is. */
  isMemoryFull(shard: number): boolean {
    return this.#servers.get(this.#routes.of(shard))?.isMemoryFull === true
  }

  up(server: Server): void {
    void this.#lookAt(server)
  }

  health(): { state: 'up' | 'down'; reason?: string; full?: boolean } {
    const down = this.#routes.servers.find((server) => !server.isUp)
    if (down !== undefined) return { state: 'down', reason: down.failure }
    const faults = this.#routes.servers.map((server) => this.#servers.get(server)?.fault ?? null)
    const reasons = [...new Set(faults)].filter((fault) => fault !== null)
    const isShort = this.#routes.servers.some((each) => this.#servers.get(each)?.isMemoryFull)
    if (isShort) reasons.push('Redis is short of memory: no new answers begin')
    const full = this.#isOutboxFull
    if (full) reasons.push('the outbox is full: no new answers begin')
    return {
      state: 'up',
      ...(reasons.length > 0 && { reason: reasons.join('; ') }),
      ...(full && { full }),
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      for (const server of this.#servers.keys()) {
        if (!this.#routes.servers.includes(server)) this.#servers.delete(server)
      }
      await Promise.all(this.#routes.servers.map((server) => this.#lookAt(server)))
      await this.#lookAtOutbox()
    } catch {
      // Out of reach: `health` says so by the connection itself.
    } finally {
      this.#isLooking = false
    }
  }

  async #lookAt(server: Server): Promise<void> {
    if (!server.isUp) return
    try {
      const [memory, persistence] = await Promise.all([
        server.send(['INFO', 'memory']),
        server.send(['INFO', 'persistence']),
      ])
      this.#servers.set(server, conditionOf(String(memory), String(persistence)))
    } catch {
      // Down since.
    }
  }

  async #lookAtOutbox(): Promise<void> {
    const eventsMax = Math.max(1, Math.ceil(this.#bounds.outboxMaxEvents / shards))
    const bytesMax = Math.max(1, Math.ceil(this.#bounds.outboxMaxBytes / shards))
    const all = this.#routes.bases.map((_, shard) => shard)
    const groups = groupsOf(this.#routes, all, 1, (shard) => shard)
    const sizes = await Promise.all(
      groups.map(({ shard }) => {
        const key = outboxKeys.size(this.#routes.base(shard))
        return this.#routes.command(shard, ['HMGET', key, 'n', 'b'])
      }),
    )
    const full = sizes.filter((size) => {
      const [events, bytes] = (size as (string | null)[]).map(Number)
      return (events ?? 0) >= eventsMax || (bytes ?? 0) >= bytesMax
    })
    // One busy session fills its own shard; only what stands still fills them all.
    this.#isOutboxFull = full.length >= shards / 2
  }
}

function conditionOf(memory: string, persistence: string): ServerCondition {
  const most = numberOf(memory, 'maxmemory')
  const policy = /maxmemory_policy:(\S+)/.exec(memory)?.[1] ?? 'noeviction'
  const faults: string[] = []
  if (policy !== 'noeviction')
    faults.push(`Redis evicts keys: maxmemory-policy is ${policy}, not noeviction`)
  if (!persistence.includes('aof_enabled:1'))
    faults.push('Redis keeps no append-only file: appendonly is no')
  if (persistence.includes('aof_last_write_status:err'))
    faults.push('Redis cannot write its append-only file')
  return {
    isMemoryFull: most > 0 && numberOf(memory, 'used_memory') > most * memoryPart,
    fault: faults.length > 0 ? faults.join('; ') : null,
  }
}

function numberOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0)
}
