import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import type { SessionOwner } from './read-owners.ts'

/** Titles one's own session, also one that no event has told yet; another's stays as it is and answers false. */
export async function setTitle(
  db: Db,
  session: SessionOwner,
  title: string | null,
): Promise<boolean> {
  const { sessionId, tenantId, userId } = session
  const titled = await db.execute(sql`
    insert into sessions (session_id, tenant_id, user_id, title, created_at)
    values (${sessionId}, ${tenantId}, ${userId}, ${title}, now())
    on conflict (session_id) do update set title = excluded.title
    where sessions.tenant_id = excluded.tenant_id and sessions.user_id = excluded.user_id
    returning 1`)
  return titled.length > 0
}
