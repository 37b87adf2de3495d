import { z } from 'zod'
import type { Archive } from '../chat/archive.ts'
import type { Sessions } from '../chat/sessions.ts'
import { wellFormed } from '../chat/text.ts'
import type { Entry } from './entry.ts'
import { bodyOf, id, parse, queryOf, sessionIdOf, wholeNumber } from './parse.ts'

export interface SessionsRouteDeps {
  entry: Entry
  sessions: Sessions
  archive: Archive
}

const bodyBytesMax = 65_536
const titleRule = 'must be a text of 1 to 200 characters, or null'

const Page = z.object({ limit: wholeNumber(1, 200).default(50), before: id().optional() })

const Patch = z.object({
  title: z
    .string({ error: titleRule })
    .transform(wellFormed)
    .pipe(z.string().min(1, titleRule).max(200, titleRule))
    .nullable(),
  userId: id().optional(),
})

/** `GET /api/sessions` */
export function getSessions(deps: SessionsRouteDeps): (request: Request) => Promise<Response> {
  return async (request) => {
    const who = await deps.entry.enter(request)
    const { limit, before } = parse(Page, queryOf(new URL(request.url)))
    const { sessions, hasOlder } = await deps.archive.sessions(who, before, limit)
    return Response.json({ sessions, ...(hasOlder && { nextBefore: sessions.at(-1)?.sessionId }) })
  }
}

/** `PATCH /api/sessions/:sessionId` */
export function patchSession(
  deps: SessionsRouteDeps,
): (request: Request, sessionId: string) => Promise<Response> {
  return async (request, sessionId) => {
    const { who, body } = await deps.entry.enterWith(request, async () => {
      const parsed = parse(Patch, await bodyOf(request, bodyBytesMax))
      return { body: parsed, named: parsed.userId }
    })
    const session = await deps.sessions.check(who, sessionIdOf(sessionId))
    await deps.archive.setTitle(session, body.title)
    return Response.json({ sessionId, title: body.title })
  }
}
