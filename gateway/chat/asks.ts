import type { Cursor, Outcome, SessionRef } from '../generations/generations.ts'

/** Who asks: from a token, or in development from the request itself. */
export interface Who {
  userId: string
  tenantId: string
  roles: readonly string[]
  /** Of the token; a socket is closed with 4001 once the token would be refused. */
  expiresAtMs?: number
}

export interface AskOptions {
  model?: string
  system?: string
  temperature?: number
  maxTokens?: number
}

/** A question as it came in, parsed in shape only; what it means is checked by `Asks`. */
export interface Ask {
  /** Left out: the server makes one. */
  sessionId?: string
  /** Not read with `regenerate`. */
  content?: string
  requestId?: string
  options?: AskOptions
  metadata?: Record<string, unknown>
  regenerate?: string
  traceparent?: string
}

export interface Accepted {
  messageId: string
  userMessageId: string
  sessionId: string
  conversationId: string
  duplicate: boolean
}

/** What a user can do to a session. Every refusal is a `ContractError`. */
export interface Asks {
  /** Resolves once the first step is stored. The `started` frame may reach viewers before this resolves. */
  ask(who: Who, ask: Ask): Promise<Accepted>
  /** The outcome that stands, within 2 s; idempotent. */
  cancel(who: Who, messageId: string): Promise<{ messageId: string; outcome: Outcome }>
  /** Ends an active answer (`cancelled`, reason `erased`), then erases. */
  erase(who: Who, sessionId: string): Promise<{ sessionId: string; cursor: Cursor }>
  /** The hub tells how many watch a session here, for `ON_ABANDON`. */
  viewersChanged(session: SessionRef, viewers: number): void
  /** No new ones; ends what is left after `deadlineMs` as `interrupted` (`shutdown`). */
  drain(deadlineMs: number): Promise<void>
  activeCount(): number
}
