import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { addAnalytics } from '#db/queries/add-analytics.ts'
import { type AuditLog, addAuditLogs } from '#db/queries/add-audit-logs.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import { type Answer, migratedDatabase, type TestGateway, testGateway } from '../support/gateway.ts'

let database: Database
let gateway: TestGateway

beforeAll(async () => {
  database = await migratedDatabase()
  gateway = testGateway({ database })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  gateway.call('GET', path, { headers })

function isInvalid({ status, body }: Answer, field: string): void {
  expect([status, body?.error?.code, body?.error?.field]).toEqual([400, 'invalid_request', field])
}

describe('the audit', () => {
  const startMs = Date.UTC(2026, 0, 1)
  const log = (index: number, more: Partial<AuditLog> = {}): AuditLog => ({
    eventId: uuidv7(startMs + index * 1_000),
    eventType: 'STREAM_COMPLETED',
    timestamp: iso(startMs + index * 1_000),
    tenantId: 'default',
    userId: 'ann',
    conversationId: 's',
    messageId: uuidv7(startMs),
    sessionId: 's',
    epoch: 1,
    seq: index + 1,
    eventData: { model: 'demo', note: 'a "quoted", thing\r\nand more' },
    source: 'stream-events',
    topicPartition: 3,
    topicOffset: index,
    ...more,
  })

  beforeAll(async () => {
    const errors: Partial<AuditLog>[] = [
      { eventType: 'STREAM_ERROR', sessionId: 'bad' },
      { eventType: 'RECOVERY_ATTEMPT', eventData: { success: false }, userId: 'bob' },
      { eventType: 'RECOVERY_ATTEMPT', eventData: { success: true } },
      { tenantId: 'acme' },
    ]
    const plain = Array.from({ length: 6 }, (_, index) => log(index))
    await addAuditLogs(database.db, [
      ...plain,
      ...errors.map((more, index) => log(index + 6, more)),
    ])
  })

  const seqs = ({ body }: Answer) => body.rows.map(({ seq }: { seq: number }) => seq)

  test('is read newest first, page by page, of the own tenant', async () => {
    const first = await get('/api/audit?limit=5')
    expect(seqs(first)).toEqual([9, 8, 7, 6, 5])
    expect(first.body.rows[0]).toMatchObject({
      eventType: 'RECOVERY_ATTEMPT',
      timestamp: '2026-01-01T00:00:08.000Z',
      topicPartition: 3,
      topicOffset: 8,
      eventData: { success: true },
    })
    const rest = await get(`/api/audit?limit=5&cursor=${first.body.nextCursor}`)
    expect([seqs(rest), rest.body.nextCursor]).toEqual([[4, 3, 2, 1], null])
  })

  test('is filtered by each of its filters', async () => {
    const found = async (query: string) => seqs(await get(`/api/audit?${query}`))
    expect(await found('userId=bob')).toEqual([8])
    expect(await found('sessionId=bad')).toEqual([7])
    expect(await found('conversationId=nowhere')).toEqual([])
    expect(await found(`messageId=${uuidv7(1)}`)).toEqual([])
    expect(await found('eventType=RECOVERY_ATTEMPT')).toEqual([9, 8])
    expect(await found('errors=true')).toEqual([8, 7])
    expect(await found('from=2026-01-01T00:00:02Z&to=2026-01-01T00:00:04Z')).toEqual([4, 3])
    expect(await found('from=-1h')).toEqual([])
  })

  test('is counted by type', async () => {
    expect((await get('/api/audit/stats')).body).toEqual({
      total: 9,
      counts: { RECOVERY_ATTEMPT: 2, STREAM_COMPLETED: 6, STREAM_ERROR: 1 },
    })
    expect((await get('/api/audit/stats?userId=bob')).body.total).toBe(1)
  })

  test('is exported whole, as CSV that is one and as lines of JSON', async () => {
    const csv = await get('/api/audit', { accept: 'text/csv' })
    expect(csv.headers.get('content-type')).toStartWith('text/csv')
    const lines = csv.text.split('\r\n')
    expect(lines).toHaveLength(11)
    expect(lines[0]).toStartWith('eventId,eventType,timestamp,tenantId,userId,conversationId')
    expect(csv.text).toContain(
      ',"{""note"":""a \\""quoted\\"", thing\\r\\nand more"",""model"":""demo""}",stream-events,3,0,',
    )
    const ndjson = await get('/api/audit?eventType=STREAM_COMPLETED', {
      accept: 'application/x-ndjson',
    })
    const rows = ndjson.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(rows.map(({ seq }: { seq: number }) => seq)).toEqual([6, 5, 4, 3, 2, 1])
    const none = await get('/api/audit?userId=nobody', { accept: 'text/csv' })
    expect(none.text.split('\r\n')).toHaveLength(2)
  })

  test('names what it cannot read', async () => {
    for (const [query, field] of [
      ['limit=1001', 'limit'],
      ['limit=0', 'limit'],
      ['cursor=x', 'cursor'],
      [`cursor=8640000000000000_${uuidv7(1)}`, 'cursor'],
      ['errors=yes', 'errors'],
      ['from=yesterday', 'from'],
      ['to=2026-13-01', 'to'],
      ['to=-1y', 'to'],
    ] as const) {
      isInvalid(await get(`/api/audit?${query}`), field)
    }
  })
})

describe('analytics', () => {
  const startMs = Date.UTC(2026, 1, 1, 12)
  const span = 'from=2026-02-01T12:00:00Z&to=2026-02-01T13:00:00Z'

  beforeAll(async () => {
    const metric = 'analytics.stream.duration'
    const labels = { model: 'demo' }
    await addAnalytics(database.db, [
      { is: 'count', metric: 'analytics.streams.completed', labels: {}, atMs: startMs, add: 4 },
      ...[0, 1, 10].map((minute) => ({
        is: 'values' as const,
        metric,
        labels,
        atMs: startMs + minute * 60_000,
        values: [{ value: 100 * (minute + 1), times: 2 }],
      })),
    ])
  })

  test('are summed up over a span', async () => {
    const { body } = await get(`/api/analytics/summary?${span}`)
    expect(body).toMatchObject({
      from: '2026-02-01T12:00:00.000Z',
      to: '2026-02-01T13:00:00.000Z',
      metrics: [
        { metric: 'analytics.stream.duration', labels: { model: 'demo' }, count: 6, sum: 2_800 },
        { metric: 'analytics.streams.completed', labels: {}, sum: 4 },
      ],
    })
    const { min, max, p50, p99 } = body.metrics[0]
    expect([min, max]).toEqual([100, 1_100])
    expect(Math.abs(p50 - 200) / 200).toBeLessThan(0.05)
    expect(Math.abs(p99 - 1_100) / 1_100).toBeLessThan(0.05)
  })

  test('are told over time, in steps', async () => {
    const series = async (step: string) =>
      (await get(`/api/analytics/series?metric=analytics.stream.duration&${span}${step}`)).body
    const minutes = await series('')
    expect([minutes.metric, minutes.step]).toEqual(['analytics.stream.duration', '1m'])
    expect(minutes.points.map(({ at }: { at: string }) => at.slice(11, 16))).toEqual([
      '12:00',
      '12:01',
      '12:10',
    ])
    const five = await series('&step=5m')
    expect(five.points).toMatchObject([
      { at: '2026-02-01T12:00:00.000Z', count: 4, sum: 600, min: 100, max: 200 },
      { at: '2026-02-01T12:10:00.000Z', count: 2 },
    ])
    expect((await series('&step=1d')).points).toHaveLength(1)
  })

  test('name what they cannot read', async () => {
    isInvalid(await get('/api/analytics/series'), 'metric')
    isInvalid(await get('/api/analytics/series?metric=m&step=2m'), 'step')
    isInvalid(await get('/api/analytics/series?metric=m&from=2000-01-01'), 'step')
    isInvalid(await get('/api/analytics/summary?from=x'), 'from')
  })
})
