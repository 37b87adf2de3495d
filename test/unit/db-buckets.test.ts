import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { type Buckets, bucketOf, quantileOf } from '#db/buckets.ts'

test('every percentile of any values is within 5 % of the exact one', () => {
  const value = fc.oneof(
    fc.double({ min: 0.01, max: 1e9, noNaN: true }),
    fc.integer({ min: 0, max: 1_000_000 }),
  )
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), (values) => {
      const buckets: Buckets = {}
      for (const each of values) {
        const bucket = bucketOf(each)
        buckets[bucket] = (buckets[bucket] ?? 0) + 1
      }
      const sorted = values.toSorted((a, b) => a - b)
      const bounds = { min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 }
      for (const quantile of [0, 0.5, 0.95, 0.99, 1]) {
        const exact = sorted[Math.max(1, Math.ceil(quantile * sorted.length)) - 1] ?? 0
        const told = quantileOf(buckets, quantile, bounds) ?? Number.NaN
        expect(Math.abs(told - exact)).toBeLessThanOrEqual(exact * 0.05)
      }
    }),
  )
})

test('nothing has no percentile', () => {
  expect(quantileOf({}, 0.5, { min: 0, max: 0 })).toBeNull()
})

test('what is no number or below nothing counts as nothing', () => {
  expect([0, -5, Number.NaN, 1e-9].map(bucketOf)).toEqual([-1, -1, -1, -1])
})
