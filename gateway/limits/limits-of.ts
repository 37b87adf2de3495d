import type { Limits, LimitsConfig, Slot } from './limits.ts'
import { NodeCount } from './node-count.ts'
import { refuse, rulesOf, userOf } from './refusals.ts'

type Maybe<T> = T | Promise<T>

/** What counts the calls of a user. */
export interface Counted {
  /** 0: the call is taken; else the milliseconds until one would be. */
  take(user: string): Maybe<number>
}

/** What holds slots of users. */
export interface Slots {
  /** Null: all are taken. */
  take(user: string): Maybe<Slot | null>
}

/** Null: there is no limit. */
export interface Counters {
  chats: Counted | null
  requests: Counted | null
  connections: Slots | null
  generations: Slots | null
}

const unlimited: Slot = { release: () => undefined }

/** The limits of the configuration, by what counts users here. */
export function limitsOf(config: LimitsConfig, counters: Counters): Limits {
  const { chats, requests, connections, generations } = counters
  const rules = rulesOf(config)
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
      if (slot !== null) return node.with(slot)
      node.release()
      refuse(rules.connectionsPerUser)
    },
    async generate(who) {
      const slot = generations === null ? unlimited : await generations.take(userOf(who))
      if (slot === null) refuse(rules.generationsPerUser)
      return slot
    },
  }
}
