import { expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { addAnalytics, type Measurement } from '#db/queries/add-analytics.ts'
import { readAnalyticsSeries } from '#db/queries/read-analytics-series.ts'
import { readAnalyticsSummary } from '#db/queries/read-analytics-summary.ts'

const hourMs = 3_600_000
// A day of its own for each test, so that what one adds is not in the summary of another.
let day = 0
const ownDayMs = () => {
  day += 1
  return Date.UTC(2020, 0, day)
}

export function analyticsSuite(database: () => Database): void {
  const values = (metric: string, atMs: number, ...all: number[]): Measurement => ({
    is: 'values',
    metric,
    atMs,
    labels: { model: 'demo' },
    values: all.map((value) => ({ value, times: 1 })),
  })

  test('a counter has its total and its events, over all batches', async () => {
    const { db } = database()
    const atMs = ownDayMs()
    const count = (add: number): Measurement => ({
      is: 'count',
      metric: 'c',
      add,
      labels: { b: '2', a: '1' },
      atMs,
    })
    await addAnalytics(db, [count(3), { ...count(4), labels: { a: '1', b: '2' } }])
    await addAnalytics(db, [count(5)])
    await addAnalytics(db, [])
    const nothing = { min: null, max: null, p50: null, p95: null, p99: null }
    expect(await readAnalyticsSummary(db, { fromMs: atMs, toMs: atMs + 1 })).toEqual([
      { metric: 'c', labels: { a: '1', b: '2' }, count: 3, sum: 12, ...nothing },
    ])
  })

  test('percentiles are within 5 % over batches and minutes, from thousandths to hours', async () => {
    const { db } = database()
    const atMs = ownDayMs()
    let state = 7
    const random = () => {
      state = (state * 48_271) % 2_147_483_647
      return state / 2_147_483_647
    }
    const all = Array.from({ length: 3_000 }, () => 10 ** (random() * 9 - 2))
    for (let from = 0; from < all.length; from += 1_000) {
      await addAnalytics(db, [values('h', atMs + from * 30, ...all.slice(from, from + 1_000))])
    }
    const [summary] = await readAnalyticsSummary(db, { fromMs: atMs, toMs: atMs + hourMs })
    const sorted = all.toSorted((a, b) => a - b)
    const exact = (quantile: number) => sorted[Math.ceil(quantile * sorted.length) - 1] ?? 0
    for (const [name, quantile] of [
      ['p50', 0.5],
      ['p95', 0.95],
      ['p99', 0.99],
    ] as const) {
      const off = Math.abs((summary?.[name] ?? 0) - exact(quantile)) / exact(quantile)
      expect(off).toBeLessThan(0.05)
    }
    expect(summary?.count).toBe(3_000)
    expect(summary?.min).toBe(Math.min(...all))
    expect(summary?.max).toBe(Math.max(...all))
    expect(summary?.sum).toBeCloseTo(
      all.reduce((sum, value) => sum + value, 0),
      0,
    )
  })

  test('what has other labels is told apart, percentiles too', async () => {
    const { db } = database()
    const atMs = ownDayMs()
    const other = { ...values('l', atMs, 1_000), labels: { model: 'other' } }
    await addAnalytics(db, [values('l', atMs, 1), other])
    const span = { fromMs: atMs, toMs: atMs + 1 }
    const summaries = await readAnalyticsSummary(db, span)
    expect(summaries).toMatchObject([
      { labels: { model: 'demo' }, count: 1, p50: 1 },
      { labels: { model: 'other' }, count: 1, p50: 1_000 },
    ])
    const points = await readAnalyticsSeries(db, { metric: 'l', ...span, stepMs: hourMs })
    expect(points.map(({ p50 }) => p50)).toEqual([1, 1_000])
  })

  test('one value is all of its percentiles, and zero is a value', async () => {
    const { db } = database()
    const atMs = ownDayMs()
    await addAnalytics(db, [values('one', atMs, 1234), values('zero', atMs, 0, 0, 8)])
    const summaries = await readAnalyticsSummary(db, { fromMs: atMs, toMs: atMs + 1 })
    expect(summaries).toMatchObject([
      { metric: 'one', count: 1, min: 1234, max: 1234, p50: 1234, p99: 1234 },
      { metric: 'zero', count: 3, min: 0, max: 8, p50: 0, sum: 8 },
    ])
    expect(summaries[1]?.p99).toBeCloseTo(8, 0)
  })

  test('a value that stands for many counts as many, within its bounds', async () => {
    const { db } = database()
    const atMs = ownDayMs()
    await addAnalytics(db, [
      {
        ...{ is: 'values', metric: 'sizes', labels: {}, atMs, sum: 50 },
        values: [
          { value: 5.5, times: 9, low: 4, high: 7 },
          { value: 23.5, times: 0, low: 16, high: 31 },
        ],
      },
      { is: 'values', metric: 'none', labels: {}, atMs, values: [] },
    ])
    expect(await readAnalyticsSummary(db, { fromMs: atMs, toMs: atMs + 1 })).toMatchObject([
      { metric: 'none', count: 0, sum: 0, min: null, p50: null },
      { metric: 'sizes', count: 9, sum: 50, min: 4, max: 7 },
    ])
  })

  test('a series has the steps that hold something, by time and labels, from and before its bounds', async () => {
    const { db } = database()
    const atMs = ownDayMs()
    await addAnalytics(db, [
      values('s', atMs - 1, 9),
      values('s', atMs, 1),
      values('s', atMs + 4 * 60_000, 3),
      { ...values('s', atMs + 60_000, 5), labels: {} },
      values('s', atMs + 5 * 60_000, 7),
      values('s', atMs + hourMs, 9),
      values('other', atMs, 9),
    ])
    const series = (stepMs: number) =>
      readAnalyticsSeries(db, { metric: 's', fromMs: atMs, toMs: atMs + hourMs, stepMs })
    const labels = { model: 'demo' }
    const at = (ms: number) => new Date(atMs + ms).toISOString()
    const fives = (await series(5 * 60_000)).sort(
      (a, b) => a.at.localeCompare(b.at) || a.sum - b.sum,
    )
    expect(fives).toMatchObject([
      { at: at(0), labels, count: 2, sum: 4, min: 1, max: 3 },
      { at: at(0), labels: {}, count: 1, sum: 5 },
      { at: at(5 * 60_000), labels, count: 1, sum: 7, p50: 7 },
    ])
    expect((await series(24 * hourMs)).map(({ count }) => count).sort()).toEqual([1, 3])
    expect(await series(60_000)).toHaveLength(4)
  })
}
