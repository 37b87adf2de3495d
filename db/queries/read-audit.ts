import { and, desc, sql } from 'drizzle-orm'
import { isUuid } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import { type AuditFilter, auditWhere } from '../audit-filter.ts'
import type { Db } from '../client.ts'
import { auditLogs } from '../schema/audit-logs.ts'
import type { AuditLog } from './add-audit-logs.ts'

/** A row of the audit as it is told: times are ISO 8601. */
export interface AuditEntry extends Omit<AuditLog, 'eventData'> {
  eventData: unknown
  createdAt: string
}

/** The last row that the caller has. */
export interface AuditCursor {
  timestampMs: number
  eventId: string
}

export interface AuditPage {
  rows: AuditEntry[]
  /** Null: there is nothing behind these. */
  next: AuditCursor | null
}

const cursorText = /^(\d{1,16})_([0-9a-f-]{36})$/

/** Opaque to clients. */
export function writeAuditCursor({ timestampMs, eventId }: AuditCursor): string {
  return `${timestampMs}_${eventId}`
}

/** Null: it is none of ours. */
export function parseAuditCursor(text: string): AuditCursor | null {
  const [, ms, eventId] = cursorText.exec(text) ?? []
  if (ms === undefined || eventId === undefined || !isUuid(eventId)) return null
  const timestampMs = Number(ms)
  // What a date can hold.
  return timestampMs <= 8.64e15 ? { timestampMs, eventId } : null
}

/** Rows by `(timestamp, eventId)`, newest first, from behind the cursor. */
export async function readAudit(
  db: Db,
  filter: AuditFilter,
  page: { limit: number; after?: AuditCursor | null | undefined },
): Promise<AuditPage> {
  const { limit, after } = page
  const { timestamp, eventId } = auditLogs
  const behind = after
    ? sql`(${timestamp}, ${eventId}) < (${iso(after.timestampMs)}::timestamptz, ${after.eventId}::uuid)`
    : undefined
  const found = await db
    .select()
    .from(auditLogs)
    .where(and(auditWhere(filter), behind))
    .orderBy(desc(timestamp), desc(eventId))
    .limit(limit + 1)
  const rows = found.slice(0, limit)
  const last = rows.at(-1)
  const next =
    found.length > limit && last !== undefined
      ? { timestampMs: last.timestamp.getTime(), eventId: last.eventId }
      : null
  return {
    rows: rows.map((row) => ({
      ...row,
      timestamp: row.timestamp.toISOString(),
      createdAt: row.createdAt.toISOString(),
    })),
    next,
  }
}

/** All of them, page by page, for whoever streams them: no more than a page is held. */
export async function* streamAudit(
  db: Db,
  filter: AuditFilter,
  { pageSize = 1_000, signal }: { pageSize?: number; signal?: AbortSignal } = {},
): AsyncGenerator<AuditEntry[]> {
  let after: AuditCursor | null = null
  do {
    signal?.throwIfAborted()
    const page: AuditPage = await readAudit(db, filter, { limit: pageSize, after })
    if (page.rows.length > 0) yield page.rows
    after = page.next
  } while (after !== null)
}
