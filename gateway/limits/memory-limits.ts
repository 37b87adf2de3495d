import type { Limits, LimitsConfig, Slot } from './limits.ts'
import { type Counted, limitsOf, type Slots } from './limits-of.ts'
import { Rate } from './rate.ts'

/** For one node that is alone. A user who is idle costs nothing: what says no more than an absent entry is dropped. */
export function memoryLimits(config: LimitsConfig, now: () => number): Limits {
  return limitsOf(config, {
    chats: perMinute(config.chatsPerMinute, now),
    requests: perMinute(config.requestsPerMinute, now),
    generations: slots(config.generationsPerUser),
    connections: slots(config.connectionsPerUser),
  })
}

function perMinute(limit: number, now: () => number): Counted | null {
  if (limit === 0) return null
  const rate = new Rate(limit, now)
  return {
    take(user) {
      const waitMs = rate.wait(user)
      if (waitMs === 0) rate.take(user)
      return waitMs
    },
  }
}

function slots(limit: number): Slots | null {
  if (limit === 0) return null
  const taken = new Map<string, number>()
  return {
    take(user): Slot | null {
      const count = taken.get(user) ?? 0
      if (count >= limit) return null
      taken.set(user, count + 1)
      let isHeld = true
      return {
        release() {
          if (!isHeld) return
          isHeld = false
          const left = (taken.get(user) ?? 1) - 1
          if (left > 0) taken.set(user, left)
          else taken.delete(user)
        },
      }
    },
  }
}
