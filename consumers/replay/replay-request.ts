import {
  cursorParam,
  identifierParam,
  integerParam,
  limitParam,
  type Query,
  type RecordCursor,
  recordCursor,
  speedParam,
  timeParam,
} from './params.ts'
import { badField, ReplayError } from './replay-error.ts'
import type { Window } from './topic-ranges.ts'

type Format = 'json' | 'ndjson' | 'sse'

interface Asked {
  format: Format
  /** At most so many events; null: as many as the format gives. */
  limit: number | null
  /** How many times as fast as the original; 0: as fast as it goes. */
  speed: number
  /** The last event that the caller has, as it was written; null: from the start. */
  after: { id: string; cursor: RecordCursor } | null
}

export type ReplayRequest = Asked &
  (
    | { of: 'session'; sessionId: string }
    | {
        of: 'topic'
        topic: string
        window: Window
        eventType: string | null
        sessionId: string | null
        userId: string | null
      }
    | { of: 'partition'; topic: string; partition: number; from: number | null; to: number | null }
  )

const sessionPath = /^\/api\/replay\/sessions\/([^/]+)\/?$/
const topicPath = /^\/api\/replay\/topics\/([^/]+)\/?$/
const partitionPath = /^\/api\/replay\/topics\/([^/]+)\/partitions\/([^/]+)\/?$/

/** What is asked for. Throws `ReplayError`: no such path, or the field that is wrong. */
export function replayRequest(request: Request, nowMs: number): ReplayRequest {
  const { pathname, searchParams } = new URL(request.url)
  if (request.method !== 'GET') throw new ReplayError('not_found', 'no such call')
  const query: Query = Object.fromEntries(searchParams)
  const of =
    sessionRequest(pathname) ??
    topicRequest(pathname, query, nowMs) ??
    partitionRequest(pathname, query)
  if (of === null) throw new ReplayError('not_found', 'no such call')
  return {
    ...of,
    format: formatOf(request.headers.get('accept') ?? ''),
    limit: limitParam(query),
    speed: speedParam(query),
    after: afterOf(request.headers.get('last-event-id'), query),
  }
}

type Of<Request> = Request extends unknown ? Omit<Request, keyof Asked> : never

function sessionRequest(pathname: string): Of<ReplayRequest> | null {
  const match = sessionPath.exec(pathname)
  if (match === null) return null
  const sessionId =
    identifierParam({ sessionId: segment(match[1], 'sessionId') }, 'sessionId') ?? ''
  return { of: 'session', sessionId }
}

function topicRequest(pathname: string, query: Query, nowMs: number): Of<ReplayRequest> | null {
  const match = topicPath.exec(pathname)
  if (match === null) return null
  const window = { fromMs: timeParam(query, 'from', nowMs), toMs: timeParam(query, 'to', nowMs) }
  if (window.fromMs !== null && window.toMs !== null && window.toMs < window.fromMs) {
    throw badField('to', 'at or after from')
  }
  return {
    of: 'topic',
    topic: segment(match[1], 'topic'),
    window,
    eventType: identifierParam(query, 'eventType'),
    sessionId: identifierParam(query, 'sessionId'),
    userId: query['userId'] ?? null,
  }
}

function partitionRequest(pathname: string, query: Query): Of<ReplayRequest> | null {
  const match = partitionPath.exec(pathname)
  if (match === null) return null
  const from = integerParam(query, 'from', 0)
  const to = integerParam(query, 'to', 0)
  if (from !== null && to !== null && to < from) throw badField('to', 'at or after from')
  const partition = integerParam({ partition: segment(match[2], 'partition') }, 'partition', 0)
  return { of: 'partition', topic: segment(match[1], 'topic'), partition: partition ?? 0, from, to }
}

function segment(text: string | undefined, field: string): string {
  try {
    return decodeURIComponent(text ?? '')
  } catch {
    throw badField(field, 'percent-encoded UTF-8')
  }
}

function formatOf(accept: string): Format {
  const wanted = accept
    .split(',')
    .map((member) => member.split(';')[0]?.trim().toLowerCase())
    .find(
      (type) =>
        type === 'text/event-stream' ||
        type === 'application/x-ndjson' ||
        type === 'application/json',
    )
  if (wanted === 'text/event-stream') return 'sse'
  return wanted === 'application/x-ndjson' ? 'ndjson' : 'json'
}

/** A malformed `Last-Event-ID` means from the start: a 4xx would stop an `EventSource` for good. */
function afterOf(lastEventId: string | null, query: Query): ReplayRequest['after'] {
  const told = recordCursor(lastEventId)
  if (told !== null && lastEventId !== null) return { id: lastEventId, cursor: told }
  if (lastEventId !== null && lastEventId !== '') return null
  const cursor = cursorParam(query)
  return cursor === null ? null : { id: query['cursor'] ?? '', cursor }
}
