import { z } from 'zod'
import type { Database } from '#db/client.ts'
import { readAnalyticsSeries } from '#db/queries/read-analytics-series.ts'
import { readAnalyticsSummary } from '#db/queries/read-analytics-summary.ts'
import { iso } from '#runtime/time.ts'
import { guarded } from '../archive/guarded.ts'
import { requireRole } from '../auth/roles.ts'
import type { Entry } from './entry.ts'
import { invalid, parse, queryOf, soughtText, time } from './parse.ts'

export interface AnalyticsDeps {
  entry: Entry
  database: Database
  now(): number
}

const minuteMs = 60_000
const dayMs = 86_400_000
const stepMs = { '1m': minuteMs, '5m': 5 * minuteMs, '1h': 60 * minuteMs, '1d': dayMs } as const
// A reader can't make one statement sum up the whole table into minutes.
const stepsMax = 50_000

const spanOf = (now: () => number) => ({
  from: time(now).optional(),
  to: time(now).optional(),
})

/** `GET /api/analytics/summary`; the last day when no span is given. */
export function getSummary(deps: AnalyticsDeps): (request: Request) => Promise<Response> {
  const Span = z.object(spanOf(deps.now))
  return async (request) => {
    requireRole(await deps.entry.enterUnnamed(request), 'auditor')
    const span = minutes(parse(Span, queryOf(new URL(request.url))), deps.now())
    const metrics = await guarded(() => readAnalyticsSummary(deps.database.db, span))
    return Response.json({ from: iso(span.fromMs), to: iso(span.toMs), metrics })
  }
}

/** `GET /api/analytics/series` */
export function getSeries(deps: AnalyticsDeps): (request: Request) => Promise<Response> {
  const Series = z.object({
    ...spanOf(deps.now),
    metric: soughtText(200),
    step: z
      .enum(['1m', '5m', '1h', '1d'], { error: 'must be one of 1m, 5m, 1h, 1d' })
      .default('1m'),
  })
  return async (request) => {
    requireRole(await deps.entry.enterUnnamed(request), 'auditor')
    const { metric, step, ...asked } = parse(Series, queryOf(new URL(request.url)))
    const span = minutes(asked, deps.now())
    if ((span.toMs - span.fromMs) / stepMs[step] > stepsMax) {
      throw invalid(`step: must make at most ${stepsMax} points of the span`, 'step')
    }
    const series = { metric, ...span, stepMs: stepMs[step] }
    const points = await guarded(() => readAnalyticsSeries(deps.database.db, series))
    return Response.json({ metric, step, from: iso(span.fromMs), to: iso(span.toMs), points })
  }
}

/** What is counted is counted by the minute: the one that `from` lies in counts whole. */
function minutes(
  asked: { from?: number | undefined; to?: number | undefined },
  nowMs: number,
): { fromMs: number; toMs: number } {
  // The running minute is in it.
  const toMs = asked.to ?? nowMs + 1
  const fromMs = Math.floor((asked.from ?? toMs - dayMs) / minuteMs) * minuteMs
  return { fromMs, toMs: Math.max(fromMs, toMs) }
}
