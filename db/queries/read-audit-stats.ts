import { asc, count } from 'drizzle-orm'
import { type AuditFilter, auditWhere } from '../audit-filter.ts'
import type { Db } from '../client.ts'
import { auditLogs } from '../schema/audit-logs.ts'

export interface AuditStats {
  total: number
  /** By event type. */
  counts: Record<string, number>
}

export async function readAuditStats(db: Db, filter: AuditFilter): Promise<AuditStats> {
  const { eventType } = auditLogs
  const rows = await db
    .select({ eventType, events: count() })
    .from(auditLogs)
    .where(auditWhere(filter))
    .groupBy(eventType)
    .orderBy(asc(eventType))
  const counts = Object.fromEntries(rows.map((row) => [row.eventType, row.events]))
  return { total: rows.reduce((total, { events }) => total + events, 0), counts }
}
