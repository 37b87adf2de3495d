import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import type { Limits, LimitsConfig, Slot } from './limits.ts'

const unlimited: Slot = { release: () => undefined }
// When a count can next be lower is in others' hands; this is when to look again.
const slotRetryMs = 2_000

/** For one node that is alone. A user who is idle costs nothing: what says no more than an absent entry is dropped. */
export function memoryLimits(config: LimitsConfig, now: () => number): Limits {
  const chats = perMinute(config.chatsPerMinute, now)
  const requests = perMinute(config.requestsPerMinute, now)
  const generations = counts(config.generationsPerUser)
  const connections = counts(config.connectionsPerUser)
  const all = counts(config.connections)
  return {
    chat: async (who) => {
      const waitMs = chats(keyOf(who))
      if (waitMs > 0) refuse(`at most ${config.chatsPerMinute} questions a minute`, waitMs)
    },
    request: async (who) => {
      const waitMs = requests(keyOf(who))
      if (waitMs > 0) refuse(`at most ${config.requestsPerMinute} calls a minute`, waitMs)
    },
    connect: async (who) => {
      const node = all('')
      if (node === null) refuse(`this node takes at most ${config.connections} connections`)
      const user = connections(keyOf(who))
      if (user !== null) return both(node, user)
      node.release()
      refuse(`at most ${config.connectionsPerUser} connections of a user`)
    },
    generate: async (who) => {
      const slot = generations(keyOf(who))
      if (slot === null) refuse(`at most ${config.generationsPerUser} answers of a user at a time`)
      return slot
    },
  }
}

function refuse(rule: string, retryAfterMs = slotRetryMs): never {
  throw new ContractError('rate_limited', `Too many: ${rule}.`, {
    retryAfterMs: Math.max(1_000, Math.ceil(retryAfterMs)),
  })
}

// No id of ours or of a token holds a control character.
function keyOf(who: Who): string {
  return `${who.tenantId}\n${who.userId}`
}

/**
 * A bucket that holds a minute's calls and refills evenly, kept as one number per user: when it will be full again.
 * Answers 0 for a call that is taken, else the milliseconds until one would be.
 */
function perMinute(limit: number, now: () => number): (key: string) => number {
  if (limit === 0) return () => 0
  const costMs = 60_000 / limit
  const fullAt = new Map<string, number>()
  let sweepAtSize = 1_000
  return (key) => {
    const atMs = now()
    const next = Math.max(fullAt.get(key) ?? 0, atMs) + costMs
    // The sum of many costs is off by rounding, by far less than this.
    if (next - atMs > 60_000.5) return next - atMs - 60_000
    fullAt.set(key, next)
    if (fullAt.size >= sweepAtSize) {
      for (const [user, at] of fullAt) if (at <= atMs) fullAt.delete(user)
      sweepAtSize = Math.max(1_000, fullAt.size * 2)
    }
    return 0
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
