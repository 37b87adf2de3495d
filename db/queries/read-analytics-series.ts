import { sql } from 'drizzle-orm'
import { iso } from '#runtime/time.ts'
import type { Db } from '../client.ts'
import { type Distribution, type DistributionRow, distributionOf } from '../distribution.ts'
import type { TimeSpan } from './read-analytics-summary.ts'

export interface SeriesPoint extends Distribution {
  /** ISO 8601: the start of its step. */
  at: string
  labels: Record<string, string>
}

export interface SeriesOf extends TimeSpan {
  metric: string
  /** Whole minutes; steps are counted from the epoch, so days are UTC's. */
  stepMs: number
}

interface Row extends DistributionRow, Record<string, unknown> {
  atMs: number
  labels: Record<string, string>
}

/** One metric over time, by time and labels; steps with nothing in them are left out. */
export async function readAnalyticsSeries(db: Db, series: SeriesOf): Promise<SeriesPoint[]> {
  const { metric, fromMs, toMs, stepMs } = series
  const rows = await db.execute<Row>(sql`
    with chosen as (
      select *, floor(extract(epoch from minute)::float8 * 1000 / ${stepMs}::float8)
        * ${stepMs}::float8 as at
      from analytics_minutes
      where metric = ${metric} and minute >= date_trunc('minute', ${iso(fromMs)}::timestamptz)
        and minute < ${iso(toMs)}::timestamptz
    ), hits as (
      select at, labels, jsonb_object_agg(bucket, hits) as buckets from (
        select c.at, c.labels, b.key as bucket, sum(b.value::bigint)::bigint as hits
        from chosen c, jsonb_each_text(c.buckets) b
        group by 1, 2, 3
      ) merged
      group by 1, 2
    )
    select c.at as "atMs", c.labels, sum(c.count)::float8 as count, sum(c.sum)::float8 as sum,
      min(c.min) as min, max(c.max) as max, h.buckets
    from chosen c left join hits h on h.at = c.at and h.labels = c.labels
    group by c.at, c.labels, h.buckets
    order by c.at, c.labels`)
  return rows.map((row) => ({ at: iso(row.atMs), labels: row.labels, ...distributionOf(row) }))
}
