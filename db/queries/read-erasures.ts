import { and, isNotNull, sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'
import { sessions } from '../schema/sessions.ts'

export interface Erasure {
  sessionId: string
  /** No text of a step at or before this one may be shown. */
  epoch: number
  seq: number
}

/** Erasures of these sessions, of any tenant; a session that was never erased is left out. */
export async function readErasures(db: Db, sessionIds: readonly string[]): Promise<Erasure[]> {
  if (sessionIds.length === 0) return []
  const { sessionId, erasedEpoch, erasedSeq } = sessions
  const rows = await db
    .select({ sessionId, epoch: erasedEpoch, seq: erasedSeq })
    .from(sessions)
    .where(
      and(
        sql`${sessionId} in (select json_array_elements_text(${jsonOf(sessionIds)}))`,
        isNotNull(erasedEpoch),
      ),
    )
  return rows.map((row) => ({ ...row, epoch: row.epoch ?? 0, seq: row.seq ?? 0 }))
}
