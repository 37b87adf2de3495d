import type { HotHealth } from '../generations.ts'
import { Backlog, type BacklogOptions } from './backlog.ts'
import type { Routes } from './routes.ts'
import type { Server } from './server.ts'

const lookMs = 1_000
const memoryPart = 0.8

interface ServerCondition {
  isMemoryFull: boolean
  /** What an operator has to set right; null: nothing. */
  fault: string | null
}

/** How the servers are, by a look each second. */
export class Condition implements Disposable {
  readonly backlog: Backlog
  readonly #routes: Routes
  readonly #servers = new Map<Server, ServerCondition>()
  readonly #timer: Timer
  #isLooking = false

  constructor(routes: Routes, options: BacklogOptions) {
    this.#routes = routes
    this.backlog = new Backlog(routes, options)
    this.#timer = setInterval(() => void this.#look(), lookMs)
    this.#timer.unref()
  }

  /** Where this shard is. */
  isMemoryFull(shard: number): boolean {
    return this.#servers.get(this.#routes.of(shard))?.isMemoryFull === true
  }

  up(server: Server): void {
    void this.#lookAt(server)
    void this.#lookAtBacklog()
  }

  health(): HotHealth {
    const { servers } = this.#routes
    const [down, ...more] = servers.filter((server) => !server.isUp)
    if (down !== undefined && more.length + 1 === servers.length) {
      return { state: 'down', reason: down.failure }
    }
    const faults = this.#routes.servers.map((server) => this.#servers.get(server)?.fault ?? null)
    const reasons = [...new Set(faults)].filter((fault) => fault !== null)
    // Sessions of the others go on.
    if (down !== undefined) {
      reasons.unshift(`${more.length + 1} of ${servers.length} servers are away: ${down.failure}`)
    }
    const isShort = this.#routes.servers.some((each) => this.#servers.get(each)?.isMemoryFull)
    if (isShort) reasons.push('Redis is short of memory: no new answers begin')
    const { isFull: full, clockOffMs } = this.backlog
    if (full) reasons.push('the outbox is full: no new answers begin')
    if (clockOffMs !== 0) reasons.push(`the clock of this node is ${-clockOffMs} ms off Redis'`)
    if (reasons.length === 0) return { state: 'up' }
    return { state: 'up', reason: reasons.join('; '), degraded: true, ...(full && { full }) }
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
      await this.#lookAtBacklog()
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

  async #lookAtBacklog(): Promise<void> {
    try {
      await this.backlog.look()
    } catch {
      // Out of reach: `health` says so by the connection itself.
    }
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
