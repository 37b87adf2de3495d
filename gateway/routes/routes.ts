import type { Database } from '#db/client.ts'
import type { Call, Routes } from '../app.ts'
import type { Auth } from '../auth/auth.ts'
import type { DevTokens } from '../auth/dev-tokens.ts'
import type { Archive } from '../chat/archive.ts'
import type { Accepted, Asks, Who } from '../chat/asks.ts'
import type { Sessions } from '../chat/sessions.ts'
import type { Generations } from '../generations/generations.ts'
import type { Health } from '../health.ts'
import type { Limits } from '../limits/limits.ts'
import { getSeries, getSummary } from './analytics.ts'
import { getAudit, getAuditStats } from './audit.ts'
import { postCancel } from './cancel.ts'
import { postChat } from './chat.ts'
import { postDevToken } from './dev-token.ts'
import { createEntry } from './entry.ts'
import { getHealth, getLive } from './health.ts'
import { deleteHistory, getHistory } from './history.ts'
import { postLogin, postLogout } from './login.ts'
import { getMessage } from './message.ts'
import { type ForwardReplay, replay } from './replay.ts'
import { getSearch } from './search.ts'
import { getSessions, patchSession } from './sessions.ts'

export interface RoutesDeps {
  nodeId: string
  auth: Auth
  /** null outside development. */
  devTokens: DevTokens | null
  limits: Limits
  sessions: Sessions
  asks: Asks
  generations: Generations
  archive: Archive
  database: Database
  health(): Promise<Health>
  forwardReplay: ForwardReplay
  /** The frames of an accepted question's answer, from chunk 0. */
  streamAnswer(request: Request, who: Who, accepted: Accepted): Promise<Response>
  /** The frames of one answer, or 204 when the client has seen its end. */
  streamMessage(request: Request, enter: () => Promise<Who>, messageId: string): Promise<Response>
  maxContentBytes: number
  /** `EVENT_CONTENT` is `full`. */
  isTextKept: boolean
  isProxyTrusted: boolean
  now(): number
}

/** Every path of the REST API, by name. */
export function createRoutes(options: RoutesDeps): Routes {
  const deps = { ...options, entry: createEntry(options.auth, options.limits) }
  const health = getHealth(deps.health)
  const message = getMessage(deps)
  const history = getHistory(deps)
  const erase = deleteHistory(deps)
  const patch = patchSession(deps)
  const replayed = replay(deps)
  return {
    '/health': { GET: health },
    '/health/ready': { GET: health },
    '/health/live': { GET: getLive(deps.nodeId) },
    '/api/chat': { POST: byRequest(postChat(deps)) },
    '/api/cancel': { POST: byRequest(postCancel(deps)) },
    '/api/messages/:messageId': {
      GET: ({ request, param }) => message(request, param('messageId')),
    },
    '/api/messages/:messageId/stream': {
      GET: ({ request, param }) =>
        deps.streamMessage(request, () => deps.entry.enter(request), param('messageId')),
    },
    '/api/history/:sessionId': {
      GET: ({ request, param }) => history(request, param('sessionId')),
      DELETE: ({ request, param }) => erase(request, param('sessionId')),
    },
    '/api/sessions': { GET: byRequest(getSessions(deps)) },
    '/api/sessions/:sessionId': {
      PATCH: ({ request, param }) => patch(request, param('sessionId')),
    },
    '/api/search': { GET: byRequest(getSearch(deps)) },
    '/api/audit': { GET: byRequest(getAudit(deps)) },
    '/api/audit/stats': { GET: byRequest(getAuditStats(deps)) },
    '/api/analytics/summary': { GET: byRequest(getSummary(deps)) },
    '/api/analytics/series': { GET: byRequest(getSeries(deps)) },
    '/api/replay/*': { GET: ({ request, keepOpen }) => replayed(request, keepOpen) },
    '/api/login': { POST: byRequest(postLogin(deps)) },
    '/api/logout': { POST: byRequest(postLogout(deps)) },
    '/api/dev/token': { POST: byRequest(postDevToken(deps.devTokens)) },
  }
}

function byRequest(answer: (request: Request) => Response | Promise<Response>) {
  return ({ request }: Call) => answer(request)
}
