import { beforeAll, describe, expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { analyticsConsumer } from '#consumers/analytics/handle.ts'
import { readAnalyticsSummary } from '#db/queries/read-analytics-summary.ts'
import type { Parts } from '../contract/consumers-bench.ts'
import { Teller } from '../contract/consumers-events.ts'
import { postgresParts } from '../contract/consumers-parts.ts'
import { Running } from '../contract/consumers-running.ts'

let parts: Parts
beforeAll(async () => {
  parts = await postgresParts()
})

const dayMs = 86_400_000
let days = 0
/** Sessions of a day that no other test uses. */
const newDay = () => {
  days += 1
  return Math.floor(Date.now() / dayMs) * dayMs - days * dayMs
}
const run = () => new Running(parts, [analyticsConsumer()])

async function totals(atMs: number): Promise<Record<string, [count: number, sum: number]>> {
  const rows = await parts.database.db.execute<Record<string, unknown>>(sql`
    select metric, labels, sum(count)::int as count, sum(sum)::float8 as sum from analytics_minutes
    where minute >= ${new Date(atMs).toISOString()}::timestamptz
      and minute < ${new Date(atMs + dayMs).toISOString()}::timestamptz
    group by metric, labels`)
  return Object.fromEntries(
    rows.map(({ metric, labels, count, sum }) => {
      const label = Object.values(labels as Record<string, string>).join()
      const name = String(metric).replace('analytics.', '')
      return [label === '' ? name : `${name} ${label}`, [Number(count), Number(sum)]]
    }),
  )
}

describe('analytics', () => {
  test('counts every metric that the events tell', async () => {
    const atMs = newDay()
    const teller = new Teller('n1', { atMs })
    teller.chat({ answer: ['a', 'bcd', 'efgh'] })
    teller.chat({ answer: ['hello '], outcome: 'cancelled' })
    teller.chat({ answer: [], outcome: 'failed' })
    teller.chat({ answer: ['x', 'y'], outcome: 'interrupted' })
    const attempt = { cursor: '1-1', result: 'resumed', missed: 0, transport: 'ws' }
    teller.tell('RECOVERY_ATTEMPT', { ...attempt, success: true })
    teller.tell('RECOVERY_ATTEMPT', { ...attempt, success: false, result: 'snapshot' })
    teller.tell('RECOVERY_ATTEMPT', { ...attempt, success: false, result: 'snapshot' })
    await run().handle(teller.records())
    expect(await totals(atMs)).toEqual({
      'sessions.started': [1, 1],
      'streams.completed': [1, 1],
      'streams.cancelled': [1, 1],
      'errors.stream connection': [2, 2],
      'chunks.received': [4, 6],
      'chunk.size': [6, 8 + 6 + 2],
      'recovery.success': [1, 1],
      'recovery.failed': [2, 2],
      'stream.duration demo': [1, 2_000],
      'stream.time_to_first_chunk demo': [1, 120],
      'stream.words_per_second demo': [1, 0.5],
      'message.length': [4, 8 + 6 + 2],
      'message.chunks': [4, 6],
    })
  })

  test('counts an event once, however often it stands in the log', async () => {
    const atMs = newDay()
    const teller = new Teller('n2', { atMs })
    teller.chat()
    const running = run()
    await running.handle([...teller.records(), ...teller.records()])
    await running.handle(teller.records())
    const counted = await totals(atMs)
    expect(counted['streams.completed']).toEqual([1, 1])
    expect(counted['message.length']).toEqual([1, 7])
  })

  test('counts in the minute of the event, not of its delivery', async () => {
    const atMs = newDay()
    const [early, late] = [new Teller('n3', { atMs }), new Teller('n4', { atMs: atMs + 61_000 })]
    early.chat()
    late.chat()
    await run().handle([...early.records(), ...late.records()])
    const rows = await parts.database.db.execute<{ minute: string }>(sql`
      select minute from analytics_minutes where metric = 'analytics.sessions.started'
        and minute >= ${new Date(atMs).toISOString()}::timestamptz
        and minute < ${new Date(atMs + dayMs).toISOString()}::timestamptz order by 1`)
    expect(rows.map(({ minute }) => Date.parse(minute))).toEqual([atMs, atMs + 60_000])
  })

  test('percentiles are within 5 %', async () => {
    const atMs = newDay()
    const teller = new Teller('n5', { atMs })
    const durations: number[] = []
    for (let at = 1; at <= 300; at += 1) {
      teller.chat()
      const durationMs = Math.round(50 * 1.02 ** at)
      durations.push(durationMs)
      for (const event of teller.events.slice(-3)) {
        if (event.eventType === 'STREAM_COMPLETED') event['durationMs'] = durationMs
      }
    }
    await run().handle(teller.records())
    const summary = await readAnalyticsSummary(parts.database.db, {
      fromMs: atMs,
      toMs: atMs + dayMs,
    })
    const found = summary.find(({ metric }) => metric === 'analytics.stream.duration')
    expect(found).toMatchObject({ count: 300, min: durations[0], max: durations.at(-1) })
    for (const [name, rank] of [
      ['p50', 150],
      ['p95', 285],
      ['p99', 297],
    ] as const) {
      const exact = durations[rank - 1] ?? 0
      expect(Math.abs(Number(found?.[name]) - exact) / exact).toBeLessThan(0.05)
    }
  })
})
