import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import type { LimitsConfig } from './limits.ts'

// When a count can next be lower is in others' hands; this is when to look again.
const slotRetryMs = 2_000

/** The limits in words. */
export function rulesOf(config: LimitsConfig): Record<keyof LimitsConfig, string> {
  return {
    chatsPerMinute: `at most ${config.chatsPerMinute} questions a minute`,
    requestsPerMinute: `at most ${config.requestsPerMinute} calls a minute`,
    generationsPerUser: `at most ${config.generationsPerUser} answers of a user at a time`,
    connectionsPerUser: `at most ${config.connectionsPerUser} connections of a user`,
    connections: `this node takes at most ${config.connections} connections`,
  }
}

export function refuse(rule: string, retryAfterMs = slotRetryMs): never {
  throw new ContractError('rate_limited', `Too many: ${rule}.`, {
    retryAfterMs: Math.max(1_000, Math.ceil(retryAfterMs)),
  })
}

/** A user of a tenant: no id of ours or of a token holds a control character. */
export function userOf({ tenantId, userId }: Who): string {
  return `${tenantId}\n${userId}`
}
