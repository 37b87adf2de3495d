import type { Who } from '../chat/asks.ts'

/** A connection that counts until it is released. */
export interface Slot {
  release(): void
}

/** Limits per user over all nodes, and of this node. 0 of a limit: none. Refusals are `ContractError` `rate_limited`. */
export interface Limits {
  /** `RATE_CHATS_PER_MINUTE`, for each question that is not a duplicate. */
  chat(who: Who): Promise<void>
  /** `RATE_REQUESTS_PER_MINUTE`, for each call under `/api/` after authentication. */
  request(who: Who): Promise<void>
  /** `MAX_CONNECTIONS_PER_USER` and this node's `MAX_CONNECTIONS`. */
  connect(who: Who): Promise<Slot>
  /** `MAX_GENERATIONS_PER_USER`, taken before a generation begins and released at its end. */
  generate(who: Who): Promise<Slot>
}

export interface LimitsConfig {
  chatsPerMinute: number
  requestsPerMinute: number
  generationsPerUser: number
  connectionsPerUser: number
  connections: number
}
