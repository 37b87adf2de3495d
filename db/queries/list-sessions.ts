import { and, desc, eq, isNotNull, sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { sessions } from '../schema/sessions.ts'

export interface ListedSession {
  sessionId: string
  title: string | null
  /** ISO 8601, as all times. */
  createdAt: string
  lastMessageAt: string
}

export interface SessionsPage {
  sessions: ListedSession[]
  hasOlder: boolean
}

/** One's own sessions that have a message, by their newest message, newest first, from behind the session `before`. */
export async function listSessions(
  db: Db,
  who: { tenantId: string; userId: string },
  { before, limit }: { before?: string | undefined; limit: number },
): Promise<SessionsPage> {
  const { sessionId, title, createdAt, lastMessageAt, tenantId, userId } = sessions
  const behind =
    before === undefined
      ? undefined
      : sql`(${lastMessageAt}, ${sessionId}) < (
          select b.last_message_at, b.session_id from sessions b
          where b.session_id = ${before} and b.tenant_id = ${who.tenantId}
            and b.user_id = ${who.userId})`
  const found = await db
    .select({ sessionId, title, createdAt, lastMessageAt })
    .from(sessions)
    .where(
      and(eq(tenantId, who.tenantId), eq(userId, who.userId), isNotNull(lastMessageAt), behind),
    )
    .orderBy(desc(lastMessageAt), desc(sessionId))
    .limit(limit + 1)
  return {
    sessions: found.slice(0, limit).map((row) => ({
      sessionId: row.sessionId,
      title: row.title,
      createdAt: row.createdAt.toISOString(),
      lastMessageAt: (row.lastMessageAt ?? row.createdAt).toISOString(),
    })),
    hasOlder: found.length > limit,
  }
}
