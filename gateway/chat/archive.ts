import type { ColdSession, SessionRef, StoredMessage } from '../generations/generations.ts'
import type { Who } from './asks.ts'

export interface ListedSession {
  sessionId: string
  title: string | null
  createdAt: string
  lastMessageAt: string
}

export interface Found {
  messageId: string
  sessionId: string
  role: 'user' | 'assistant'
  /** Escaped HTML with `<mark>`. */
  excerpt: string
  score: number
  createdAt: string
}

export interface ArchivedMessage extends SessionRef {
  message: StoredMessage
  /** Its text is gone. */
  erased: boolean
}

/**
 * What Postgres knows of sessions that hot state has forgotten, written by the history consumer. Every query filters by
 * tenant and user, or answers whose it is so that the caller can. A database that is away is `ContractError` `unavailable`.
 */
export interface Archive {
  /** Whose it is; null: nobody's. */
  owner(sessionId: string): Promise<SessionRef | null>
  /** As hot state wants it back; null when Postgres doesn't know it. */
  session(sessionId: string): Promise<ColdSession | null>
  message(messageId: string): Promise<ArchivedMessage | null>
  /** Messages older than `before` (of the session; the newest when left out), oldest first, at most `limit`. */
  page(
    session: SessionRef,
    before: string | undefined,
    limit: number,
  ): Promise<{ messages: StoredMessage[]; hasOlder: boolean }>
  sessions(
    who: Who,
    before: string | undefined,
    limit: number,
  ): Promise<{ sessions: ListedSession[]; hasOlder: boolean }>
  setTitle(session: SessionRef, title: string | null): Promise<void>
  search(who: Who, query: string, limit: number): Promise<Found[]>
}
