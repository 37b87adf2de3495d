import { sql } from 'drizzle-orm'
import { iso } from '#runtime/time.ts'
import { type Buckets, bucketOf } from '../buckets.ts'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'

/** A value and how often it was seen; `low` and `high` bound it when it stands for a range. */
export interface Sample {
  value: number
  times: number
  low?: number
  high?: number
}

/** What is to be added to a metric's minute. Labels never hold a user or a session. */
export type Measurement = {
  metric: string
  labels: Record<string, string>
  /** Milliseconds since the epoch. */
  atMs: number
} & (
  | { is: 'count'; add: number }
  /** `sum`: where it is known better than the values say. */
  | { is: 'values'; values: readonly Sample[]; sum?: number }
)

interface Minute {
  minute: string
  metric: string
  labels: Record<string, string>
  count: number
  sum: number
  min: number | null
  max: number | null
  buckets: Buckets | null
}

const minuteMs = 60_000

/** Adds to the minutes that the measurements are of. Not idempotent: once in a transaction that counts events once. */
export async function addAnalytics(tx: Db, measurements: readonly Measurement[]): Promise<void> {
  const minutes = new Map<string, Minute>()
  for (const measurement of measurements) {
    const minute = minuteOf(measurement)
    const key = JSON.stringify([minute.minute, minute.metric, minute.labels])
    const other = minutes.get(key)
    if (other === undefined) minutes.set(key, minute)
    else add(other, minute)
  }
  if (minutes.size === 0) return
  await tx.execute(sql`
    insert into analytics_minutes as a (minute, metric, labels, count, sum, min, max, buckets)
    select minute, metric, labels, count, sum, min, max, buckets
    from json_to_recordset(${jsonOf([...minutes.values()])}) as m(
      minute timestamptz, metric text, labels jsonb, count bigint, sum float8, min float8,
      max float8, buckets jsonb)
    order by metric, minute, labels
    on conflict (metric, minute, labels) do update set
      count = a.count + excluded.count, sum = a.sum + excluded.sum,
      min = least(a.min, excluded.min), max = greatest(a.max, excluded.max),
      buckets = case
        when a.buckets is null then excluded.buckets
        when excluded.buckets is null then a.buckets
        else (
          select jsonb_object_agg(b.bucket, b.hits) from (
            select u.key as bucket, sum(u.value::bigint)::bigint as hits from (
              select * from jsonb_each_text(a.buckets)
              union all select * from jsonb_each_text(excluded.buckets)
            ) u group by u.key
          ) b
        )
      end`)
}

function minuteOf(measurement: Measurement): Minute {
  const { metric, atMs } = measurement
  const minute = iso(Math.floor(atMs / minuteMs) * minuteMs)
  const labels = Object.fromEntries(
    Object.entries(measurement.labels).sort(([a], [b]) => (a < b ? -1 : 1)),
  )
  if (measurement.is === 'count') {
    const { add: sum } = measurement
    return { minute, metric, labels, count: 1, sum, min: null, max: null, buckets: null }
  }
  const buckets: Buckets = {}
  let [count, sum, min, max] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const { value, times, low = value, high = value } of measurement.values) {
    if (times <= 0) continue
    const bucket = bucketOf(value)
    buckets[bucket] = (buckets[bucket] ?? 0) + times
    count += times
    sum += value * times
    min = Math.min(min, low)
    max = Math.max(max, high)
  }
  const isNone = count === 0
  return {
    ...{ minute, metric, labels, count, buckets },
    sum: measurement.sum ?? sum,
    min: isNone ? null : min,
    max: isNone ? null : max,
  }
}

function add(to: Minute, more: Minute): void {
  to.count += more.count
  to.sum += more.sum
  to.min = least(to.min, more.min)
  to.max = least(to.max, more.max, -1)
  if (more.buckets === null) return
  to.buckets ??= {}
  for (const [bucket, hits] of Object.entries(more.buckets)) {
    to.buckets[bucket] = (to.buckets[bucket] ?? 0) + hits
  }
}

function least(a: number | null, b: number | null, sign = 1): number | null {
  if (a === null || b === null) return a ?? b
  return a * sign < b * sign ? a : b
}
