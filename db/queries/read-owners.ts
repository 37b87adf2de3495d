import { inArray, sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { sessions } from '../schema/sessions.ts'

/** Whose a session is. */
export interface SessionOwner {
  sessionId: string
  tenantId: string
  userId: string
}

/** Of those that somebody's are, in any order. For the caller to compare: answers whoever's they are. */
export function readOwners(db: Db, ids: readonly string[]): Promise<SessionOwner[]> {
  const { sessionId, tenantId, userId } = sessions
  // One parameter however many there are: the statement stays the same one.
  const named = sql`(select jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb))`
  return db.select({ sessionId, tenantId, userId }).from(sessions).where(inArray(sessionId, named))
}
