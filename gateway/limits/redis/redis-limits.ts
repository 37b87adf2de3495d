import type { Log } from '#runtime/log.ts'
import type { Routes } from '../../generations/redis/routes.ts'
import type { Limits, LimitsConfig, Slot } from '../limits.ts'
import { Rate } from '../rate.ts'
import { refuse, rulesOf, userOf } from '../refusals.ts'
import { Calls } from './calls.ts'
import { Held } from './held.ts'

export interface RedisLimitsOptions {
  /** Where hot state is; a user's limits are with the shard of the user. */
  routes: Routes
  config: LimitsConfig
  log: Log
  /** After the death of a node its users' slots are free again after so long. */
  leaseMs?: number
  now?: () => number
  /** Added to Redis' clock: for tests, which can't wait for a minute. */
  aheadMs?: () => number
}

const leaseMsDefault = 30_000
const unlimited: Slot = { release: () => undefined }

/**
 * Limits of all nodes together. Without Redis each node holds to what it knows itself. Disposing gives back what this
 * node's users hold.
 */
export function redisLimits(options: RedisLimitsOptions): Limits & AsyncDisposable {
  const { routes, config, log, leaseMs = leaseMsDefault } = options
  const { now = Date.now, aheadMs = () => 0 } = options
  const calls = new Calls({ routes, log, leaseMs, aheadMs })
  const rules = rulesOf(config)
  const held = (prefix: string, limit: number) =>
    limit === 0 ? null : new Held({ calls, prefix, limit, leaseMs })
  const connections = held('u:c:', config.connectionsPerUser)
  const generations = held('u:g:', config.generationsPerUser)
  const perMinute = (prefix: string, limit: number) =>
    limit === 0 ? null : new NodesRate(calls, prefix, new Rate(limit, now))
  const chats = perMinute('u:q:', config.chatsPerMinute)
  const requests = perMinute('u:r:', config.requestsPerMinute)
  const node = new NodeCount(config.connections)

  return {
    async chat(who) {
      const waitMs = (await chats?.take(userOf(who))) ?? 0
      if (waitMs > 0) refuse(rules.chatsPerMinute, waitMs)
    },
    async request(who) {
      const waitMs = (await requests?.take(userOf(who))) ?? 0
      if (waitMs > 0) refuse(rules.requestsPerMinute, waitMs)
    },
    async connect(who) {
      if (!node.take()) refuse(rules.connections)
      const slot = connections === null ? unlimited : await connections.take(userOf(who))
      if (slot !== null) return new ConnectionSlot(node, slot)
      node.release()
      refuse(rules.connectionsPerUser)
    },
    async generate(who) {
      const slot = generations === null ? unlimited : await generations.take(userOf(who))
      if (slot === null) refuse(rules.generationsPerUser)
      return slot
    },
    async [Symbol.asyncDispose]() {
      connections?.[Symbol.dispose]()
      generations?.[Symbol.dispose]()
      await calls.flush()
    },
  }
}

/** What this node alone would refuse is refused without a question. */
class NodesRate {
  readonly #calls: Calls
  readonly #prefix: string
  readonly #own: Rate

  constructor(calls: Calls, prefix: string, own: Rate) {
    this.#calls = calls
    this.#prefix = prefix
    this.#own = own
  }

  /** 0: the call is taken; else the milliseconds until one would be. */
  async take(user: string): Promise<number> {
    const ownMs = this.#own.wait(user)
    if (ownMs > 0) return ownMs
    const reply = await this.#calls.ask(this.#prefix + user, 'r', this.#own.costMs, 0)
    const waitMs = reply ?? this.#own.wait(user)
    if (waitMs === 0) this.#own.take(user)
    return waitMs
  }
}

/** `MAX_CONNECTIONS`; 0: no limit. */
class NodeCount {
  readonly #limit: number
  #taken = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  take(): boolean {
    if (this.#limit > 0 && this.#taken >= this.#limit) return false
    this.#taken += 1
    return true
  }

  release(): void {
    this.#taken -= 1
  }
}

class ConnectionSlot implements Slot {
  readonly #node: NodeCount
  #slot: Slot | null

  constructor(node: NodeCount, slot: Slot) {
    this.#node = node
    this.#slot = slot
  }

  release(): void {
    if (this.#slot === null) return
    this.#node.release()
    this.#slot.release()
    this.#slot = null
  }
}
