import { z } from 'zod'
import { isUuid } from '#runtime/ids.ts'
import type { Archive } from '../chat/archive.ts'
import type { Asks } from '../chat/asks.ts'
import { reached } from '../chat/reached.ts'
import type { Sessions } from '../chat/sessions.ts'
import type { Generations, SessionRef, StoredMessage } from '../generations/generations.ts'
import type { Entry } from './entry.ts'
import { parse, queryOf, sessionIdOf, wholeNumber } from './parse.ts'

export interface HistoryDeps {
  entry: Entry
  sessions: Sessions
  generations: Generations
  archive: Archive
  asks: Asks
}

const Page = z.object({
  limit: wholeNumber(1, 200).default(50),
  before: z.string().refine(isUuid, 'must be a messageId').optional(),
})

interface HistoryPage {
  messages: StoredMessage[]
  hasOlder: boolean
}

/** `GET /api/history/:sessionId` */
export function getHistory(
  deps: HistoryDeps,
): (request: Request, sessionId: string) => Promise<Response> {
  return async (request, sessionId) => {
    const who = await deps.entry.enter(request)
    const { limit, before } = parse(Page, queryOf(new URL(request.url)))
    const session = await deps.sessions.check(who, sessionIdOf(sessionId))
    const { messages, hasOlder } =
      (await hotPage(deps.generations, session, before, limit)) ??
      (await deps.archive.page(session, before, limit))
    const nextBefore = hasOlder ? messages[0]?.messageId : undefined
    return Response.json({ sessionId, messages, count: messages.length, nextBefore })
  }
}

/** `DELETE /api/history/:sessionId` */
export function deleteHistory(
  deps: HistoryDeps,
): (request: Request, sessionId: string) => Promise<Response> {
  return async (request, sessionId) => {
    const who = await deps.entry.enter(request)
    const { cursor } = await deps.asks.erase(who, sessionIdOf(sessionId))
    return Response.json({ sessionId, cursor: `${cursor.epoch}-${cursor.seq}` }, { status: 202 })
  }
}

/**
 * A page comes whole from one place: the newest messages from hot state, which has them before Postgres does, all that
 * is older than its oldest from Postgres. null: not from here.
 */
async function hotPage(
  generations: Generations,
  session: SessionRef,
  before: string | undefined,
  limit: number,
): Promise<HistoryPage | null> {
  const snapshot = await reached(() => generations.snapshot(session.sessionId))
  if (snapshot === null) return null
  const { history, hasOlder } = snapshot
  const end =
    before === undefined
      ? history.length
      : history.findIndex((message) => message.messageId === before)
  if (end < 0 || (end === 0 && hasOlder)) return null
  const start = Math.max(0, end - limit)
  return { messages: history.slice(start, end), hasOlder: start > 0 || hasOlder }
}
