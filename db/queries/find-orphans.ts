import { sql } from 'drizzle-orm'
import { iso } from '#runtime/time.ts'
import type { Db } from '../client.ts'

/** An answer that began and, as far as the audit and history know, never ended. */
export interface Orphan {
  messageId: string
  userMessageId: string
  sessionId: string
  conversationId: string
  tenantId: string
  userId: string
  model: string | null
  /** The step that began it. */
  epoch: number
  seq: number
  /** Where its beginning stands in the log. */
  topic: string
  partition: number
  offset: number
}

/** Answers that began in `[fromMs, beforeMs)` and have no end; at most `limit`, the oldest first. */
export async function findOrphans(
  db: Db,
  { fromMs, beforeMs, limit }: { fromMs: number; beforeMs: number; limit: number },
): Promise<Orphan[]> {
  return await db.execute<Orphan & Record<string, unknown>>(sql`
    select a.message_id as "messageId", a.event_data->>'userMessageId' as "userMessageId",
      a.session_id as "sessionId", a.conversation_id as "conversationId",
      a.tenant_id as "tenantId", a.user_id as "userId", a.event_data->>'model' as model,
      a.epoch, a.seq, a.source as topic, a.topic_partition as partition, a.topic_offset as "offset"
    from audit_logs a
    where a.event_type = 'STREAM_STARTED' and a.topic_offset is not null
      and a.tenant_id is not null and a.message_id is not null and a.user_id is not null
      and a."timestamp" >= ${iso(fromMs)}::timestamptz
      and a."timestamp" < ${iso(beforeMs)}::timestamptz
      and not exists (
        select 1 from audit_logs e
        where e.message_id = a.message_id and e.event_type in ('STREAM_COMPLETED',
          'STREAM_CANCELLED', 'STREAM_ERROR'))
      and not exists (
        select 1 from messages m where m.message_id = a.message_id::uuid)
    order by a."timestamp"
    limit ${limit}`)
}
