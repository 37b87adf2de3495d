import { requireRole } from '../auth/roles.ts'
import type { Who } from '../chat/asks.ts'
import type { Entry } from './entry.ts'

/** Hands a call under `/api/replay/` on to what serves it. Aborts with `request.signal`; rejects when it is away. */
export type ForwardReplay = (request: Request, who: Who) => Promise<Response>

export function replay(deps: {
  entry: Entry
  forwardReplay: ForwardReplay
}): (request: Request, keepOpen: () => void) => Promise<Response> {
  return async (request, keepOpen) => {
    const who = await deps.entry.enterUnnamed(request)
    requireRole(who, 'auditor')
    // A long search for the first event is silent; nobody but an auditor may hold a connection for that.
    keepOpen()
    const { status, headers, body } = await deps.forwardReplay(request, who)
    // What was fetched has headers that can't be added to.
    const own = new Headers(headers)
    own.set('connection', 'close')
    return new Response(body, { status, headers: own })
  }
}
