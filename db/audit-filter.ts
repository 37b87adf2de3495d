import { and, eq, gte, lt, or, type SQL, sql } from 'drizzle-orm'
import { auditLogs } from './schema/audit-logs.ts'

/** Which rows of a tenant's audit; what is left out does not matter. */
export interface AuditFilter {
  tenantId: string
  userId?: string | undefined
  sessionId?: string | undefined
  conversationId?: string | undefined
  messageId?: string | undefined
  eventType?: string | undefined
  /** Only `STREAM_ERROR` and unsuccessful `RECOVERY_ATTEMPT`. */
  errors?: boolean | undefined
  /** Inclusive, milliseconds since the epoch. */
  fromMs?: number | undefined
  /** Exclusive. */
  toMs?: number | undefined
}

export function auditWhere(filter: AuditFilter): SQL | undefined {
  const { tenantId, userId, sessionId, conversationId, messageId, eventType } = filter
  const { errors, fromMs, toMs } = filter
  const failedRecovery = and(
    eq(auditLogs.eventType, 'RECOVERY_ATTEMPT'),
    sql`${auditLogs.eventData}->>'success' = 'false'`,
  )
  return and(
    eq(auditLogs.tenantId, tenantId),
    userId === undefined ? undefined : eq(auditLogs.userId, userId),
    sessionId === undefined ? undefined : eq(auditLogs.sessionId, sessionId),
    conversationId === undefined ? undefined : eq(auditLogs.conversationId, conversationId),
    messageId === undefined ? undefined : eq(auditLogs.messageId, messageId),
    eventType === undefined ? undefined : eq(auditLogs.eventType, eventType),
    errors === true ? or(eq(auditLogs.eventType, 'STREAM_ERROR'), failedRecovery) : undefined,
    fromMs === undefined ? undefined : gte(auditLogs.timestamp, new Date(fromMs)),
    toMs === undefined ? undefined : lt(auditLogs.timestamp, new Date(toMs)),
  )
}
