import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'

export interface AuditLog {
  eventId: string
  eventType: string
  /** ISO 8601; of one `eventId` always the same. */
  timestamp: string
  tenantId: string
  userId: string | null
  conversationId: string | null
  messageId: string | null
  sessionId: string | null
  epoch: number | null
  seq: number | null
  /** The event without anything that somebody wrote. */
  eventData: Record<string, unknown>
  /** The topic; `replay` or `dlq` of a fact that stands in none. */
  source: string
  topicPartition: number | null
  topicOffset: number | null
}

/** Rows of the audit. What is there already stays as it is; answers how many were new. */
export async function addAuditLogs(db: Db, logs: readonly AuditLog[]): Promise<number> {
  if (logs.length === 0) return 0
  // Counted there: a row of an answer for each row costs as much as its line of JSON.
  const [added] = await db.execute<{ count: number }>(sql`
    with added as (insert into audit_logs (event_id, event_type, "timestamp", tenant_id, user_id, conversation_id,
      message_id, session_id, epoch, seq, event_data, source, topic_partition, topic_offset)
    select "eventId", "eventType", "timestamp", "tenantId", "userId", "conversationId",
      "messageId", "sessionId", epoch, seq, "eventData", source, "topicPartition", "topicOffset"
    from json_to_recordset(${jsonOf(logs)}) as l(
      "eventId" uuid, "eventType" text, "timestamp" timestamptz, "tenantId" text, "userId" text,
      "conversationId" text, "messageId" text, "sessionId" text, epoch bigint, seq bigint,
      "eventData" jsonb, source text, "topicPartition" integer, "topicOffset" bigint)
    order by 1
    on conflict do nothing
    returning 1)
    select count(*)::integer as count from added`)
  return added?.count ?? 0
}
