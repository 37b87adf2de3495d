import { sql } from 'drizzle-orm'
import type { CopyIn, Db } from '../client.ts'
import { copyLine } from '../copy-line.ts'
import { codesOf } from '../errors.ts'
import { jsonOfText } from '../rows.ts'

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

export type NewAuditLog = Omit<AuditLog, 'eventData'> & {
  /** A text is JSON already. */
  eventData: Record<string, unknown> | string
}

const duplicate = '23505'

/**
 * Rows of the audit. What is there already stays as it is; answers how many were new. Whoever thinks that all `areNew`
 * may say so: in a transaction of a server that costs half, and twice as much when one isn't.
 */
export async function addAuditLogs(
  db: Db,
  logs: readonly NewAuditLog[],
  { areNew = false }: { areNew?: boolean } = {},
): Promise<number> {
  if (logs.length === 0) return 0
  if (areNew && db.copyIn !== undefined) {
    try {
      await copy(db.copyIn, logs)
      return logs.length
    } catch (error) {
      if (!codesOf(error).includes(duplicate)) throw error
      await db.execute(sql`rollback to savepoint new_audit_logs`)
    }
  }
  return insert(db, logs)
}

/** Knows no conflicts, so one row that is there already refuses all. */
async function copy(copyIn: CopyIn, logs: readonly NewAuditLog[]): Promise<void> {
  await copyIn(
    `savepoint new_audit_logs;
    copy audit_logs (event_id, event_type, "timestamp", tenant_id, user_id, conversation_id,
      message_id, session_id, epoch, seq, event_data, source, topic_partition, topic_offset) from stdin`,
    // By their ids, so that of two with the same rows none waits for the other crosswise.
    logs.map(lineOf).sort().join(''),
  )
}

function lineOf(log: NewAuditLog): string {
  return copyLine([
    log.eventId,
    log.eventType,
    log.timestamp,
    log.tenantId,
    log.userId,
    log.conversationId,
    log.messageId,
    log.sessionId,
    log.epoch,
    log.seq,
    jsonOfData(log),
    log.source,
    log.topicPartition,
    log.topicOffset,
  ])
}

function rowOf(log: NewAuditLog): string {
  const others = JSON.stringify({ ...log, eventData: undefined })
  return `${others.slice(0, -1)},"eventData":${jsonOfData(log)}}`
}

function jsonOfData({ eventData }: NewAuditLog): string {
  return typeof eventData === 'string' ? eventData : JSON.stringify(eventData)
}

async function insert(db: Db, logs: readonly NewAuditLog[]): Promise<number> {
  const rows = jsonOfText(`[${logs.map(rowOf).join(',')}]`)
  // Counted there: a row of an answer for each row costs as much as its line of JSON.
  const [added] = await db.execute<{ count: number }>(sql`
    with added as (insert into audit_logs (event_id, event_type, "timestamp", tenant_id, user_id, conversation_id,
      message_id, session_id, epoch, seq, event_data, source, topic_partition, topic_offset)
    select "eventId", "eventType", "timestamp", "tenantId", "userId", "conversationId",
      "messageId", "sessionId", epoch, seq, "eventData", source, "topicPartition", "topicOffset"
    from json_to_recordset(${rows}) as l(
      "eventId" uuid, "eventType" text, "timestamp" timestamptz, "tenantId" text, "userId" text,
      "conversationId" text, "messageId" text, "sessionId" text, epoch bigint, seq bigint,
      "eventData" jsonb, source text, "topicPartition" integer, "topicOffset" bigint)
    order by 1
    on conflict do nothing
    returning 1)
    select count(*)::integer as count from added`)
  return added?.count ?? 0
}
