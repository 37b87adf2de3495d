/** How often each bucket was hit, by its number as text. */
export type Buckets = Record<string, number>

// Each bucket is 4 % wider than the one before, so its middle is within 2 % of all that is in it.
const growth = 1.04
const logGrowth = Math.log(growth)
// Nothing that we measure is finer; zero has no logarithm.
const least = 1e-3
const zeroBucket = -1

/** The bucket of a value; what is below a thousandth counts as nothing. */
export function bucketOf(value: number): number {
  if (!(value > least)) return zeroBucket
  return Math.ceil(Math.log(value / least) / logGrowth)
}

function middleOf(bucket: number): number {
  if (bucket === zeroBucket) return 0
  return (least * 2 * growth ** bucket) / (1 + growth)
}

/**
 * The smallest value that at least `quantile` (0 to 1) of all are at or below, within 2 %; null when there is none.
 * `min` and `max` are exact, so no estimate leaves them.
 */
export function quantileOf(
  buckets: Buckets,
  quantile: number,
  { min, max }: { min: number; max: number },
): number | null {
  const sorted = Object.entries(buckets)
    .map(([bucket, hits]) => ({ bucket: Number(bucket), hits }))
    .sort((a, b) => a.bucket - b.bucket)
  const total = sorted.reduce((sum, { hits }) => sum + hits, 0)
  const rank = Math.max(1, Math.ceil(quantile * total))
  let seen = 0
  for (const { bucket, hits } of sorted) {
    seen += hits
    if (seen >= rank) return Math.min(max, Math.max(min, middleOf(bucket)))
  }
  return null
}
