import { sql } from 'drizzle-orm'
import { iso } from '#runtime/time.ts'
import type { Db } from '../client.ts'
import { type Distribution, type DistributionRow, distributionOf } from '../distribution.ts'

export interface MetricSummary extends Distribution {
  metric: string
  labels: Record<string, string>
}

export interface TimeSpan {
  /** Milliseconds since the epoch; the minute that it is in counts whole. */
  fromMs: number
  /** Exclusive. */
  toMs: number
}

interface Row extends DistributionRow, Record<string, unknown> {
  metric: string
  labels: Record<string, string>
}

/** Every metric with something in that time, by name and labels. */
export async function readAnalyticsSummary(db: Db, span: TimeSpan): Promise<MetricSummary[]> {
  const { fromMs, toMs } = span
  const rows = await db.execute<Row>(sql`
    with chosen as (
      select * from analytics_minutes
      where minute >= date_trunc('minute', ${iso(fromMs)}::timestamptz)
        and minute < ${iso(toMs)}::timestamptz
    ), hits as (
      select metric, labels, jsonb_object_agg(bucket, hits) as buckets from (
        select c.metric, c.labels, b.key as bucket, sum(b.value::bigint)::bigint as hits
        from chosen c, jsonb_each_text(c.buckets) b
        group by 1, 2, 3
      ) merged
      group by 1, 2
    )
    select c.metric, c.labels, sum(c.count)::float8 as count, sum(c.sum)::float8 as sum,
      min(c.min) as min, max(c.max) as max, h.buckets
    from chosen c left join hits h on h.metric = c.metric and h.labels = c.labels
    group by c.metric, c.labels, h.buckets
    order by c.metric, c.labels`)
  return rows.map((row) => ({ metric: row.metric, labels: row.labels, ...distributionOf(row) }))
}
