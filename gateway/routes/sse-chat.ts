import { uuidv7 } from '#runtime/ids.ts'
import type { Auth } from '../auth/auth.ts'
import { credentialsOf } from '../auth/credentials.ts'
import { ContractError } from '../chat/errors.ts'
import { SessionViewer } from '../chat/viewers/session-viewer.ts'
import type { Viewers } from '../chat/viewers/viewers.ts'
import type { Limits, Slot } from '../limits/limits.ts'
import { sessionIdOf } from './parse.ts'
import { parseCursor } from './stream/cursor.ts'
import { draining, EventStream, refusedStream } from './stream/event-stream.ts'

export interface SseChatDeps {
  viewers: Viewers
  auth: Auth
  limits: Limits
}

/** What we need of a server: an idle stream must not be cut. */
export interface IdleLimit {
  timeout(request: Request, seconds: number): void
}

/**
 * `GET /sse/chat`: the frames of a session. Rejects with what shall stop an `EventSource` (400, 401, 403); overload and
 * drain are told in the stream.
 */
export function sseChat(
  deps: SseChatDeps,
): (request: Request, server: IdleLimit) => Promise<Response> {
  const { viewers, auth, limits } = deps
  return async (request, server) => {
    if (request.method !== 'GET')
      return new Response(null, { status: 405, headers: { allow: 'GET' } })
    if (viewers.isDraining) return refusedStream(viewers, draining())
    const url = new URL(request.url)
    let slot: Slot | null = null
    try {
      const who = await auth.identify(credentialsOf(request, url))
      const named = url.searchParams.get('sessionId')
      const sessionId = named === null ? uuidv7(viewers.now()) : sessionIdOf(named)
      const cursorText = lastEventIdOf(request, url)
      slot = await limits.connect(who)
      const opened = await viewers.sessions.open(who, sessionId, { isNew: named === null })
      const connection = viewers.nextConnection()
      const stream = new EventStream({ viewers, who, slot, connection })
      server.timeout(request, 0)
      const response = stream.open()
      const cursor = cursorText === null ? null : parseCursor(cursorText)
      const viewer = new SessionViewer(viewers.room(sessionId), stream, { who, cursorText, cursor })
      stream.viewer = viewer
      viewers.join(viewer, opened.session)
      return response
    } catch (error) {
      slot?.release()
      if (isToldInStream(error)) return refusedStream(viewers, error)
      throw error
    }
  }
}

/** The header wins over the query; null: none. */
export function lastEventIdOf(request: Request, url: URL): string | null {
  return request.headers.get('last-event-id') || url.searchParams.get('cursor') || null
}

export function isToldInStream(error: unknown): error is ContractError {
  return (
    error instanceof ContractError &&
    (error.code === 'rate_limited' || error.code === 'unavailable')
  )
}
