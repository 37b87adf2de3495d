import { eq } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { sessions } from '../schema/sessions.ts'

/** Whose a session is. */
export interface SessionOwner {
  sessionId: string
  tenantId: string
  userId: string
}

/** Null: nobody's. For the caller to compare: answers whoever's it is. */
export async function readSession(db: Db, id: string): Promise<SessionOwner | null> {
  const { sessionId, tenantId, userId } = sessions
  const [row] = await db
    .select({ sessionId, tenantId, userId })
    .from(sessions)
    .where(eq(sessionId, id))
  return row ?? null
}
