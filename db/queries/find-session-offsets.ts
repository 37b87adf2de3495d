import { and, asc, eq, isNotNull } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { auditLogs } from '../schema/audit-logs.ts'

/** An event that the audit knows, and where in the log it was first delivered. */
export interface SessionOffset {
  topic: string
  partition: number
  offset: number
  eventType: string
  /** Null of an event of no step. */
  epoch: number | null
  seq: number | null
}

/** Where a session's events stand in the log, as far as the audit is, by place. */
export async function findSessionOffsets(
  db: Db,
  session: { tenantId: string; sessionId: string },
): Promise<SessionOffset[]> {
  const { source, topicPartition, topicOffset, eventType, epoch, seq } = auditLogs
  const rows = await db
    .select({
      topic: source,
      partition: topicPartition,
      offset: topicOffset,
      eventType,
      epoch,
      seq,
    })
    .from(auditLogs)
    .where(
      and(
        eq(auditLogs.sessionId, session.sessionId),
        eq(auditLogs.tenantId, session.tenantId),
        isNotNull(topicOffset),
      ),
    )
    .orderBy(asc(source), asc(topicPartition), asc(topicOffset))
  return rows.flatMap(({ partition, offset, ...row }) =>
    partition === null || offset === null ? [] : [{ ...row, partition, offset }],
  )
}
