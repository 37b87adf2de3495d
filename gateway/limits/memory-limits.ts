import type { Limits, LimitsConfig, Slot } from './limits.ts'
import { Rate } from './rate.ts'
import { refuse, rulesOf, userOf } from './refusals.ts'

const unlimited: Slot = { release: () => undefined }

/** For one node that is alone. A user who is idle costs nothing: what says no more than an absent entry is dropped. */
export function memoryLimits(config: LimitsConfig, now: () => number): Limits {
  const rules = rulesOf(config)
  const chats = perMinute(config.chatsPerMinute, now)
  const requests = perMinute(config.requestsPerMinute, now)
  const generations = counts(config.generationsPerUser)
  const connections = counts(config.connectionsPerUser)
  const all = counts(config.connections)
  return {
    chat: async (who) => {
      const waitMs = chats(userOf(who))
      if (waitMs > 0) refuse(rules.chatsPerMinute, waitMs)
    },
    request: async (who) => {
      const waitMs = requests(userOf(who))
      if (waitMs > 0) refuse(rules.requestsPerMinute, waitMs)
    },
    connect: async (who) => {
      const node = all('')
      if (node === null) refuse(rules.connections)
      const user = connections(userOf(who))
      if (user !== null) return both(node, user)
      node.release()
      refuse(rules.connectionsPerUser)
    },
    generate: async (who) => {
      const slot = generations(userOf(who))
      if (slot === null) refuse(rules.generationsPerUser)
      return slot
    },
  }
}

/** Answers 0 for a call that is taken, else the milliseconds until one would be. */
function perMinute(limit: number, now: () => number): (user: string) => number {
  if (limit === 0) return () => 0
  const rate = new Rate(limit, now)
  return (user) => {
    const waitMs = rate.wait(user)
    if (waitMs === 0) rate.take(user)
    return waitMs
  }
}

/** Slots per key; null when all are taken. */
function counts(limit: number): (key: string) => Slot | null {
  if (limit === 0) return () => unlimited
  const taken = new Map<string, number>()
  return (key) => {
    const count = taken.get(key) ?? 0
    if (count >= limit) return null
    taken.set(key, count + 1)
    let isHeld = true
    return {
      release() {
        if (!isHeld) return
        isHeld = false
        const left = (taken.get(key) ?? 1) - 1
        if (left > 0) taken.set(key, left)
        else taken.delete(key)
      },
    }
  }
}

function both(first: Slot, second: Slot): Slot {
  return {
    release() {
      first.release()
      second.release()
    },
  }
}
