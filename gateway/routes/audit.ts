import { z } from 'zod'
import type { AuditFilter } from '#db/audit-filter.ts'
import type { Database } from '#db/client.ts'
import {
  type AuditCursor,
  type AuditEntry,
  parseAuditCursor,
  readAudit,
  writeAuditCursor,
} from '#db/queries/read-audit.ts'
import { readAuditStats } from '#db/queries/read-audit-stats.ts'
import { guarded } from '../archive/guarded.ts'
import { requireRole } from '../auth/roles.ts'
import type { Who } from '../chat/asks.ts'
import { csv, type ExportFormat, exportStream, ndjson } from './audit-export.ts'
import type { Entry } from './entry.ts'
import { parse, queryOf, soughtText, time, timeMaxMs, wholeNumber } from './parse.ts'

export interface AuditDeps {
  entry: Entry
  database: Database
  now(): number
}

const pageRows = 100
const exportPageRows = 1_000
const columns = [
  'eventId',
  'eventType',
  'timestamp',
  'tenantId',
  'userId',
  'conversationId',
  'messageId',
  'sessionId',
  'epoch',
  'seq',
  'eventData',
  'source',
  'topicPartition',
  'topicOffset',
  'createdAt',
] as const satisfies readonly (keyof AuditEntry)[]

type Filtering = (query: Record<string, string>, who: Who) => AuditFilter

function filtering(now: () => number): Filtering {
  const Filter = z.object({
    userId: soughtText(256).optional(),
    sessionId: soughtText(256).optional(),
    conversationId: soughtText(256).optional(),
    messageId: soughtText(256).optional(),
    eventType: soughtText(128).optional(),
    errors: z.enum(['true', 'false'], { error: 'must be true or false' }).optional(),
    from: time(now).optional(),
    to: time(now).optional(),
  })
  return (query, { tenantId }) => {
    const { errors, from: fromMs, to: toMs, ...fields } = parse(Filter, query)
    return { tenantId, ...fields, errors: errors === 'true', fromMs, toMs }
  }
}

const Page = z.object({
  limit: wholeNumber(1, 1_000).optional(),
  cursor: z
    .string()
    .transform((text, context): AuditCursor => {
      const cursor = parseAuditCursor(text)
      if (cursor !== null && cursor.timestampMs <= timeMaxMs) return cursor
      context.addIssue('must be the nextCursor of an answer')
      return z.NEVER
    })
    .optional(),
})

/** `GET /api/audit`: a page as JSON; as CSV or NDJSON all of it (from `cursor` on, up to `limit` when it is given). */
export function getAudit(deps: AuditDeps): (request: Request) => Promise<Response> {
  const filterOf = filtering(deps.now)
  return async (request) => {
    const who = await deps.entry.enterUnnamed(request)
    requireRole(who, 'auditor')
    const query = queryOf(new URL(request.url))
    const filter = filterOf(query, who)
    const { limit, cursor: after = null } = parse(Page, query)
    const format = formatOf(request)
    if (format !== null) {
      const page = { after, limit: limit ?? Number.POSITIVE_INFINITY }
      const pages = await begun(allPages(deps.database, filter, page))
      return new Response(exportStream(pages, format), {
        headers: { 'content-type': format.contentType, 'cache-control': 'no-store' },
      })
    }
    const { rows, next } = await guarded(() =>
      readAudit(deps.database.db, filter, { limit: limit ?? pageRows, after }),
    )
    return Response.json({ rows, nextCursor: next && writeAuditCursor(next) })
  }
}

/** `GET /api/audit/stats` */
export function getAuditStats(deps: AuditDeps): (request: Request) => Promise<Response> {
  const filterOf = filtering(deps.now)
  return async (request) => {
    const who = await deps.entry.enterUnnamed(request)
    requireRole(who, 'auditor')
    const filter = filterOf(queryOf(new URL(request.url)), who)
    return Response.json(await guarded(() => readAuditStats(deps.database.db, filter)))
  }
}

function formatOf(request: Request): ExportFormat<AuditEntry> | null {
  const accept = request.headers.get('accept') ?? ''
  if (accept.includes('text/csv')) return csv(columns)
  if (accept.includes('application/x-ndjson')) return ndjson()
  return null
}

/** With the first page read: what fails before anything was sent is an answer of its own, not one that is cut off. */
async function begun<Page>(pages: AsyncGenerator<Page>): Promise<AsyncIterable<Page>> {
  const first = await pages.next()
  return (async function* () {
    if (first.done) return
    yield first.value
    yield* pages
  })()
}

async function* allPages(
  { db }: Database,
  filter: AuditFilter,
  page: { after: AuditCursor | null; limit: number },
): AsyncGenerator<AuditEntry[]> {
  let { after, limit } = page
  do {
    const asked = { limit: Math.min(limit, exportPageRows), after }
    const { rows, next } = await guarded(() => readAudit(db, filter, asked))
    if (rows.length > 0) yield rows
    limit -= rows.length
    after = next
  } while (after !== null && limit > 0)
}
