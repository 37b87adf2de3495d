import { type Buckets, quantileOf } from './buckets.ts'

/** Of a counter `sum` is the total and `count` the events; the rest is null. Percentiles are within 5 %. */
export interface Distribution {
  count: number
  sum: number
  min: number | null
  max: number | null
  p50: number | null
  p95: number | null
  p99: number | null
}

export interface DistributionRow {
  count: number
  sum: number
  min: number | null
  max: number | null
  buckets: Buckets | null
}

export function distributionOf({ count, sum, min, max, buckets }: DistributionRow): Distribution {
  const quantile = (at: number) =>
    buckets === null || min === null || max === null ? null : quantileOf(buckets, at, { min, max })
  return { count, sum, min, max, p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) }
}
