import { expect, test } from 'bun:test'
import { Routes } from '#gateway/generations/redis/routes.ts'
import type { Limits, LimitsConfig, Slot } from '#gateway/limits/limits.ts'
import { redisLimits } from '#gateway/limits/redis/redis-limits.ts'
import { randomToken } from '#runtime/ids.ts'
import { quietLog } from '#runtime/log.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { ann, limitsContract, noLimits, refused, who } from './limits.ts'

export interface LimitsNode {
  limits: Limits
  advance(ms: number): void
  /** As a `kill -9` leaves it. */
  die(): void
  /** As a drained node ends. */
  end(): Promise<void>
}

/** One node of those that share `prefix`. */
export function limitsNode(
  url: string,
  config: Partial<LimitsConfig>,
  { prefix = `t${randomToken().slice(0, 8)}:`, leaseMs = 30_000, timeoutMs = 1_500 } = {},
): LimitsNode {
  let aheadMs = 0
  const routes = new Routes({ url, prefix, timeoutMs })
  const limits = redisLimits({
    ...{ routes, log: quietLog, leaseMs },
    config: { ...noLimits, ...config },
    now: () => Date.now() + aheadMs,
    aheadMs: () => aheadMs,
  })
  const die = () => routes[Symbol.dispose]()
  atEnd(async () => {
    await limits[Symbol.asyncDispose]()
    die()
  })
  return {
    limits,
    advance(ms) {
      aheadMs += ms
    },
    die,
    async end() {
      await limits[Symbol.asyncDispose]()
      die()
    },
  }
}

/** Two nodes, or more, that share their users. */
export function nodesOf(url: string, config: Partial<LimitsConfig>, leaseMs = 30_000, count = 2) {
  const prefix = `t${randomToken().slice(0, 8)}:`
  return Array.from({ length: count }, () => limitsNode(url, config, { prefix, leaseMs }))
}

/** What limits in Redis hold beside the contract: they are those of all nodes. */
export function limitsOverNodes(url: () => string): void {
  limitsContract(async (config) => limitsNode(url(), config))

  test('calls a minute are counted over all nodes', async () => {
    const [one, two] = pair(url(), { chatsPerMinute: 4 })
    await one.limits.chat(ann)
    await two.limits.chat(ann)
    await one.limits.chat(ann)
    await two.limits.chat(ann)
    const { retryAfterMs = 0 } = (await refused(one.limits.chat(ann))).details
    expect(retryAfterMs).toBeWithin(5_000, 15_001)
    await refused(two.limits.chat(ann))
    await two.limits.chat(who('bob'))
    one.advance(retryAfterMs)
    await one.limits.chat(ann)
  })

  test('connections are counted over all nodes, and what one releases another may take', async () => {
    const [one, two] = pair(url(), { connectionsPerUser: 3 })
    const first = await one.limits.connect(ann)
    await one.limits.connect(ann)
    const third = await two.limits.connect(ann)
    await refused(one.limits.connect(ann))
    await refused(two.limits.connect(ann))
    await two.limits.connect(who('ann', 'other'))
    first.release()
    await taken(two.limits)
    await refused(one.limits.connect(ann))
    third.release()
    await taken(one.limits)
    await refused(two.limits.connect(ann))
  })

  test('of many at once on all nodes so many get a place, round after round', async () => {
    const nodes = nodesOf(url(), { generationsPerUser: 5 }, 30_000, 3)
    for (let round = 0; round < 10; round += 1) {
      const outcomes = await Promise.allSettled(
        nodes.flatMap(({ limits }) => [1, 2, 3, 4].map(() => limits.generate(ann))),
      )
      const slots = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
      expect(slots.length).toBeWithin(1, 6)
      for (const slot of slots) slot.release()
      await free(nodes, 5)
    }
  })

  test('what a node holds stays its own for as long as it lives', async () => {
    const [one, two] = pair(url(), { connectionsPerUser: 1 }, 300)
    await one.limits.connect(ann)
    await Bun.sleep(900)
    await refused(two.limits.connect(ann))
  })

  test('what a dead node held is free once its lease is over', async () => {
    const [one, two] = pair(url(), { connectionsPerUser: 2, generationsPerUser: 1 }, 800)
    await one.limits.connect(ann)
    await one.limits.generate(ann)
    await two.limits.connect(ann)
    one.die()
    await refused(two.limits.connect(ann))
    await until(() => got(two.limits.connect(ann)), { timeoutMs: 10_000, everyMs: 50 })
    await until(() => got(two.limits.generate(ann)), { timeoutMs: 10_000, everyMs: 50 })
    await refused(two.limits.connect(ann))
  })

  test('what a node held is free as soon as it has ended', async () => {
    const [one, two] = pair(url(), { connectionsPerUser: 1, generationsPerUser: 1 })
    await one.limits.connect(ann)
    await one.limits.generate(ann)
    await one.end()
    await two.limits.connect(ann)
    await two.limits.generate(ann)
  })

  test('two thousand users who come at once are all let in, and counted', async () => {
    const [one, two] = pair(url(), { connectionsPerUser: 1, requestsPerMinute: 600 })
    const users = Array.from({ length: 2_000 }, (_, index) => who(`u${index}`))
    await Promise.all(users.map((user) => one.limits.connect(user)))
    const again = await Promise.allSettled(users.map((user) => two.limits.connect(user)))
    expect(again.filter(({ status }) => status === 'fulfilled')).toEqual([])
  })
}

export function pair(
  url: string,
  config: Partial<LimitsConfig>,
  leaseMs?: number,
): [LimitsNode, LimitsNode] {
  const [one, two] = nodesOf(url, config, leaseMs)
  if (one === undefined || two === undefined) throw new Error('two nodes were wanted')
  return [one, two]
}

/** A place that another node has just given back, which Redis may hear of in a moment. */
async function taken(limits: Limits): Promise<void> {
  await until(() => got(limits.connect(ann)), { timeoutMs: 5_000, everyMs: 5 })
}

async function got(asked: Promise<Slot>): Promise<Slot | null> {
  return await asked.catch(() => null)
}

/** All of `count` places can be had by one node, and are given back. */
async function free(nodes: LimitsNode[], count: number): Promise<void> {
  for (const { limits } of nodes) {
    await until(
      async () => {
        const outcomes = await Promise.allSettled(
          Array.from({ length: count }, () => limits.generate(ann)),
        )
        const slots = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
        for (const slot of slots) slot.release()
        return slots.length === count
      },
      { timeoutMs: 5_000, everyMs: 5 },
    )
  }
}
