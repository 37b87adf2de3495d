import type { Database } from '#db/client.ts'
import { isOutage } from '#db/errors.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import type { Log } from '#runtime/log.ts'
import { type Clock, systemClock } from '../clock.ts'
import { checkTopic, openReplay, type Replayer } from './open-replay.ts'
import type { Replay } from './replay.ts'
import { ReplayAudit, type ReplayRecord } from './replay-audit.ts'
import { ReplayError } from './replay-error.ts'
import { type ReplayRequest, replayRequest } from './replay-request.ts'
import { respond, type Sent } from './respond.ts'

export interface ReplayDeps {
  eventLog: EventLog
  database: Database
  /**
   * Who asks, with the role `auditor` or `admin`. Rejects with an error that has a `status` (below 500) and whose JSON is
   * the body's `error`, for whoever may not.
   */
  authorize(request: Request): Promise<Replayer>
  log: Log
  /** As in events: which process wrote an audit row. */
  nodeId: string
  clock?: Clock
}

export interface ReplayApp {
  /** Answers `/api/replay/…`, always with a response. */
  fetch(request: Request): Promise<Response>
}

/** The replay REST API: reads the log and the audit, joins no group, commits nothing. */
export function replayApp(deps: ReplayDeps): ReplayApp {
  return {
    async fetch(request) {
      try {
        return await answer(request, deps)
      } catch (error) {
        return refusal(error, deps.log)
      }
    },
  }
}

async function answer(request: Request, deps: ReplayDeps): Promise<Response> {
  const { eventLog, database, log, clock = systemClock } = deps
  const who = await deps.authorize(request)
  const asked = replayRequest(request, clock.now())
  await checkTopic(asked, eventLog)
  const gone = new AbortController()
  const onGone = () => gone.abort()
  request.signal.addEventListener('abort', onGone, { once: true })
  if (request.signal.aborted) onGone()
  const url = new URL(request.url)
  const audit = new ReplayAudit({ database, nodeId: deps.nodeId, clock })
  const record = await audit.started(who, sessionOf(asked), `${url.pathname}${url.search}`)
  const finished = async (sent: Sent | { outcome: string; count: number; complete: boolean }) => {
    request.signal.removeEventListener('abort', onGone)
    await audited(audit, record, sent, log)
  }
  let replay: Replay
  try {
    replay = await openReplay(asked, { eventLog, database, who, signal: gone.signal })
  } catch (error) {
    const outcome = error instanceof ReplayError ? error.code : 'failed'
    await finished({ count: 0, complete: false, outcome })
    throw error
  }
  const failed = (error: unknown) =>
    log.error('replay failed', { replayId: record.replayId, error })
  return respond({ request: asked, replay, clock, gone, finished, failed })
}

/** The caller has its events by now: that the end could not be written must not take them back. */
async function audited(
  audit: ReplayAudit,
  record: ReplayRecord,
  sent: { count: number; complete: boolean; outcome: string },
  log: Log,
): Promise<void> {
  try {
    await audit.finished(record, sent)
  } catch (error) {
    log.error('the end of a replay is not in the audit', { replayId: record.replayId, error })
  }
}

function sessionOf(request: ReplayRequest): string | null {
  return request.of === 'partition' ? null : request.sessionId
}

function refusal(error: unknown, log: Log): Response {
  if (isRefusal(error)) {
    return Response.json(
      { error: error.toJSON() },
      { status: error.status, headers: retry(error.status) },
    )
  }
  if (isOutage(error)) log.warn('replay is unavailable', { error })
  else log.error('replay failed', { error })
  const unavailable = new ReplayError('unavailable', 'the replay cannot be served now')
  const { status } = unavailable
  return Response.json({ error: unavailable.toJSON() }, { status, headers: retry(status) })
}

function retry(status: number): Record<string, string> {
  return status === 503 || status === 429 ? { 'retry-after': '1' } : {}
}

function isRefusal(error: unknown): error is Error & { status: number; toJSON(): object } {
  return (
    error instanceof Error &&
    'status' in error &&
    typeof error.status === 'number' &&
    'toJSON' in error &&
    typeof error.toJSON === 'function'
  )
}
