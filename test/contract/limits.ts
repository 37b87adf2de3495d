import { describe, expect, test } from 'bun:test'
import type { Who } from '#gateway/chat/asks.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import type { Limits, LimitsConfig } from '#gateway/limits/limits.ts'

export const noLimits: LimitsConfig = {
  chatsPerMinute: 0,
  requestsPerMinute: 0,
  generationsPerUser: 0,
  connectionsPerUser: 0,
  connections: 0,
}

export interface LimitsFixture {
  limits: Limits
  /** Time goes on. */
  advance(ms: number): void
}

export type MakeLimits = (config: Partial<LimitsConfig>) => Promise<LimitsFixture>

export const who = (userId: string, tenantId = 'default'): Who => ({ userId, tenantId, roles: [] })
export const ann = who('ann')

export async function refused(call: Promise<unknown>): Promise<ContractError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ContractError) return error
  throw new Error(`not refused: ${String(error)}`)
}

/** What every adapter of `Limits` holds for one node. */
export function limitsContract(make: MakeLimits): void {
  describe('calls a minute', () => {
    test('so many are taken, the next is told when to come again', async () => {
      const { limits, advance } = await make({ chatsPerMinute: 3 })
      for (let call = 0; call < 3; call += 1) await limits.chat(ann)
      const error = await refused(limits.chat(ann))
      expect(error.code).toBe('rate_limited')
      const { retryAfterMs = 0 } = error.details
      expect(retryAfterMs).toBeWithin(10_000, 20_001)
      advance(retryAfterMs)
      await limits.chat(ann)
      await refused(limits.chat(ann))
    })

    test('whoever is told to wait waits a second at least', async () => {
      const { limits } = await make({ requestsPerMinute: 600 })
      const calls = Array.from({ length: 700 }, () => limits.request(ann))
      const outcomes = await Promise.allSettled(calls)
      const errors = outcomes.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
      expect(errors.length).toBeWithin(1, 101)
      for (const error of errors) expect(error.details.retryAfterMs).toBeGreaterThanOrEqual(1_000)
    })

    test('after an idle minute all of them are there again, and no more', async () => {
      const { limits, advance } = await make({ chatsPerMinute: 5 })
      for (let minute = 0; minute < 3; minute += 1) {
        for (let call = 0; call < 5; call += 1) await limits.chat(ann)
        await refused(limits.chat(ann))
        advance(60_000)
      }
    })

    test('a refused call costs nothing', async () => {
      const { limits, advance } = await make({ chatsPerMinute: 2 })
      await limits.chat(ann)
      await limits.chat(ann)
      for (let call = 0; call < 20; call += 1) await refused(limits.chat(ann))
      advance(30_001)
      await limits.chat(ann)
    })

    test('are counted for each user of each tenant', async () => {
      const { limits } = await make({ chatsPerMinute: 1 })
      await limits.chat(ann)
      await limits.chat(who('bob'))
      await limits.chat(who('ann', 'other'))
      await refused(limits.chat(ann))
    })

    test('questions and calls are counted apart', async () => {
      const { limits } = await make({ chatsPerMinute: 1, requestsPerMinute: 1 })
      await limits.chat(ann)
      await limits.request(ann)
      await refused(limits.chat(ann))
      await refused(limits.request(ann))
    })

    test('of many at once so many are taken', async () => {
      const { limits } = await make({ chatsPerMinute: 5 })
      const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => limits.chat(ann)))
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5)
    })
  })

  describe('at a time', () => {
    test('so many connections of a user, until one is released', async () => {
      const { limits } = await make({ connectionsPerUser: 2 })
      const first = await limits.connect(ann)
      await limits.connect(ann)
      expect((await refused(limits.connect(ann))).code).toBe('rate_limited')
      await limits.connect(who('bob'))
      first.release()
      await limits.connect(ann)
      await refused(limits.connect(ann))
    })

    test('releasing twice frees one place', async () => {
      const { limits } = await make({ generationsPerUser: 2 })
      const first = await limits.generate(ann)
      await limits.generate(ann)
      first.release()
      first.release()
      await limits.generate(ann)
      await refused(limits.generate(ann))
    })

    test('connections and answers are counted apart', async () => {
      const { limits } = await make({ connectionsPerUser: 1, generationsPerUser: 1 })
      await limits.connect(ann)
      await limits.generate(ann)
      await refused(limits.connect(ann))
      await refused(limits.generate(ann))
    })

    test('the connections of a node have a limit whoever they are of, and a refused one takes no place', async () => {
      const { limits } = await make({ connectionsPerUser: 1, connections: 2 })
      const first = await limits.connect(ann)
      await refused(limits.connect(ann))
      await refused(limits.connect(ann))
      await limits.connect(who('bob'))
      expect((await refused(limits.connect(who('eve')))).code).toBe('rate_limited')
      first.release()
      first.release()
      await limits.connect(who('eve'))
      await refused(limits.connect(who('dan')))
    })

    test('of many at once so many get a place, and what comes and goes leaves none behind', async () => {
      const { limits } = await make({ connectionsPerUser: 3, connections: 100 })
      for (let round = 0; round < 20; round += 1) {
        const asked = Array.from({ length: 8 }, () => limits.connect(ann))
        const slots = (await Promise.allSettled(asked)).flatMap((each) =>
          each.status === 'fulfilled' ? [each.value] : [],
        )
        expect(slots).toHaveLength(3)
        for (const slot of slots) slot.release()
      }
    })
  })

  test('without a limit nothing is refused', async () => {
    const { limits } = await make({})
    for (let call = 0; call < 500; call += 1) {
      await limits.chat(ann)
      await limits.request(ann)
      await limits.connect(ann)
      await limits.generate(ann)
    }
  })
}
