import type { Log } from '#runtime/log.ts'
import type { Routes } from '../../generations/redis/routes.ts'
import type { Limits, LimitsConfig } from '../limits.ts'
import { type Counted, limitsOf } from '../limits-of.ts'
import { Rate } from '../rate.ts'
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

/**
 * Limits of all nodes together. Without Redis each node holds to what it knows itself. Disposing gives back what this
 * node's users hold.
 */
export function redisLimits(options: RedisLimitsOptions): Limits & AsyncDisposable {
  const { routes, config, log, leaseMs = leaseMsDefault } = options
  const { now = Date.now, aheadMs = () => 0 } = options
  const calls = new Calls({ routes, log, leaseMs, aheadMs })
  const held = (prefix: string, limit: number) =>
    limit === 0 ? null : new Held({ calls, prefix, limit, leaseMs })
  const connections = held('u:c:', config.connectionsPerUser)
  const generations = held('u:g:', config.generationsPerUser)
  const perMinute = (prefix: string, limit: number) =>
    limit === 0 ? null : new NodesRate(calls, prefix, new Rate(limit, now))
  return {
    ...limitsOf(config, {
      ...{ connections, generations },
      chats: perMinute('u:q:', config.chatsPerMinute),
      requests: perMinute('u:r:', config.requestsPerMinute),
    }),
    async [Symbol.asyncDispose]() {
      connections?.[Symbol.dispose]()
      generations?.[Symbol.dispose]()
      await calls.flush()
    },
  }
}

/** What this node alone would refuse is refused without a question. */
class NodesRate implements Counted {
  readonly #calls: Calls
  readonly #prefix: string
  readonly #own: Rate

  constructor(calls: Calls, prefix: string, own: Rate) {
    this.#calls = calls
    this.#prefix = prefix
    this.#own = own
  }

  async take(user: string): Promise<number> {
    const ownMs = this.#own.wait(user)
    if (ownMs > 0) return ownMs
    const reply = await this.#calls.ask(this.#prefix + user, 'r', this.#own.costMs, 0)
    const waitMs = reply ?? this.#own.wait(user)
    if (waitMs === 0) this.#own.take(user)
    return waitMs
  }
}
