import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'

export interface SessionErasure {
  sessionId: string
  tenantId: string
  userId: string
  /** History goes up to and with this step. */
  epoch: number
  seq: number
  /** ISO 8601. */
  at: string
}

/**
 * Forgets what was written in a session up to a step: rows stay, without their texts. Never takes an erasure back, and
 * a second time does nothing. Call it before or after all messages and sessions of the same batch, not between them.
 */
export async function eraseSession(tx: Db, erasure: SessionErasure): Promise<void> {
  const { sessionId, tenantId, userId, epoch, seq, at } = erasure
  const moved = await tx.execute(sql`
    insert into sessions (session_id, tenant_id, user_id, created_at, last_epoch, last_seq,
      erased_epoch, erased_seq)
    values (${sessionId}, ${tenantId}, ${userId}, ${at}::timestamptz,
      ${epoch}::bigint, ${seq}::bigint, ${epoch}::bigint, ${seq}::bigint)
    on conflict (session_id) do update set
      title = null, erased_epoch = excluded.erased_epoch, erased_seq = excluded.erased_seq
    where sessions.tenant_id = excluded.tenant_id and sessions.user_id = excluded.user_id
      and coalesce((sessions.erased_epoch, sessions.erased_seq)
        < (excluded.erased_epoch, excluded.erased_seq), true)
    returning 1`)
  if (moved.length === 0) return
  await tx.execute(sql`
    update messages
    set content = null, parts = null, metadata = null, sha256 = null, erased_at = ${at}::timestamptz
    where session_id = ${sessionId} and tenant_id = ${tenantId} and user_id = ${userId}
      and (epoch, seq) <= (${epoch}::bigint, ${seq}::bigint) and erased_at is null`)
  await tx.execute(sql`
    update sessions s
    set last_message_at = (
        select max(m.created_at) from messages m
        where m.session_id = s.session_id and m.erased_at is null),
      (last_epoch, last_seq) = (
        select l.epoch, l.seq from (values (s.last_epoch, s.last_seq),
          (${epoch}::bigint, ${seq}::bigint)) as l(epoch, seq)
        order by l.epoch desc, l.seq desc limit 1)
    where s.session_id = ${sessionId}`)
}
