import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Deployed, startDeployed } from '../support/deployed.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// What the usage guide shows, against the product as its users start it. Its curl lines stand here as it prints them.
const sendTestMessage = `curl -X POST http://localhost:8000/api/chat \\
  -H "Content-Type: application/json" \\
  -d '{
    "session_id": "test_session",
    "user_id": "demo_user",
    "message": "Hello Kafka!"
  }'`

// The pause between two messages is all that is left out of it.
const sendTenMessages = `for i in {1..10}; do
  curl -X POST http://localhost:8000/api/chat \\
    -H "Content-Type: application/json" \\
    -d "{\\"session_id\\": \\"test_$i\\", \\"user_id\\": \\"demo_user\\", \\"message\\": \\"Test message $i\\"}"
done`

interface AuditRow {
  eventId: string
  eventType: string
  timestamp: string
  userId: string
  sessionId: string
  conversationId: string
  messageId: string | null
  eventData: Record<string, unknown>
  source: string
}

interface Metric {
  metric: string
  labels: Record<string, string>
  count: number
  sum: number
  p95: number | null
}

interface ReplayedEvent {
  eventId: string
  eventType: string
  timestamp: string
  sessionId: string
  messageId?: string
  role?: string
  content?: string
  error?: string
  _replay: { topic: string; partition: number; offset: number }
}

const patience = { timeoutMs: 60_000, everyMs: 100 }
let sluice: Deployed

beforeAll(async () => {
  sluice = await startDeployed()
}, 90_000)
afterAll(() => sluice[Symbol.asyncDispose]())

async function bash(lines: string): Promise<string> {
  const child = Bun.spawn(['bash', '-c', lines.replaceAll('http://localhost:8000', sluice.url)], {
    stdout: 'pipe',
    stderr: 'ignore',
  })
  const said = await new Response(child.stdout).text()
  expect(await child.exited).toBe(0)
  return said
}

async function get<Body>(path: string): Promise<Body> {
  const response = await fetch(`${sluice.url}${path}`)
  expect({ path, status: response.status }).toEqual({ path, status: 200 })
  return (await response.json()) as Body
}

const audit = async (query: string) =>
  (await get<{ rows: AuditRow[] }>(`/api/audit?limit=1000&${query}`)).rows

function typesOf(rows: readonly { eventType: string }[]): string[] {
  return rows.map(({ eventType }) => eventType).sort()
}

/** Waits for rows that come by the event log. */
async function audited(query: string, count: number): Promise<AuditRow[]> {
  const what = `${count} rows of ${query}`
  await until(async () => (await audit(query)).length >= count, { ...patience, what })
  return await audit(query)
}

/** Waits until as many events have been counted in a metric; those of the other topic may come later. */
async function counted(name: string, times: number) {
  const what = `${name} has been counted ${times} times`
  await until(async () => (await metrics()).of(name).count >= times, { ...patience, what })
  return await metrics()
}

const ended = (count: number) => audited('eventType=STREAM_COMPLETED', count)

describe('the usage guide', () => {
  test('sends a test message by curl, as printed', async () => {
    const accepted = JSON.parse(await bash(sendTestMessage))
    expect(accepted).toMatchObject({
      status: 'streaming',
      sessionId: 'test_session',
      conversationId: 'test_session',
      duplicate: false,
    })
    await until(
      async () => {
        const message = await get<{ outcome?: string }>(`/api/messages/${accepted.messageId}`)
        return message.outcome === 'completed'
      },
      { timeoutMs: 60_000, everyMs: 50 },
    )
    const { messages } = await get<{ messages: { role: string; content: string }[] }>(
      '/api/history/test_session',
    )
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant'])
    expect(messages[0]?.content).toBe('Hello Kafka!')
  }, 90_000)

  test('finds each event of it in the audit, but no chunk and no text', async () => {
    await ended(1)
    const rows = await audited('sessionId=test_session', 5)
    expect(typesOf(rows)).toEqual([
      'CHAT_MESSAGE',
      'CHAT_MESSAGE',
      'SESSION_STARTED',
      'STREAM_COMPLETED',
      'STREAM_STARTED',
    ])
    for (const { userId, conversationId, eventData, source } of rows) {
      expect({ userId, conversationId }).toEqual({
        userId: 'demo_user',
        conversationId: 'test_session',
      })
      expect(['chat-events', 'stream-events']).toContain(source)
      expect(Object.keys(eventData)).not.toContainAnyValues(['content', 'text', 'parts'])
    }
    // `ORDER BY timestamp DESC`
    const times = rows.map(({ timestamp }) => timestamp)
    expect(times).toEqual(times.toSorted().reverse())
  }, 90_000)

  test('replays the session, from its start to its end', async () => {
    const replay = await get<{ events: ReplayedEvent[]; count: number; complete: boolean }>(
      '/api/replay/sessions/test_session',
    )
    const { events, count, complete } = replay
    expect({ count, complete }).toEqual({ count: events.length, complete: true })
    const types = events.map(({ eventType }) => eventType)
    expect(types[0]).toBe('SESSION_STARTED')
    expect(types.filter((type) => type === 'CHUNK_RECEIVED').length).toBeGreaterThan(0)
    expect(types.slice(-2).sort()).toEqual(['CHAT_MESSAGE', 'STREAM_COMPLETED'])
  })
})

describe('ten messages', () => {
  test('are sent by the loop, as printed, and count in the metrics', async () => {
    await counted('analytics.streams.completed', 1)
    const before = await counted('analytics.message.length', 1)
    const answers = (await bash(sendTenMessages)).split('}').filter((text) => text.trim() !== '')
    expect(answers).toHaveLength(10)
    await ended(11)
    await counted('analytics.streams.completed', 11)
    const after = await counted('analytics.message.length', 11)
    const grown = (name: string) => after.of(name).sum - before.of(name).sum
    expect(grown('analytics.sessions.started')).toBe(10)
    expect(grown('analytics.streams.completed')).toBe(10)
    for (const name of [
      'analytics.stream.duration',
      'analytics.stream.words_per_second',
      'analytics.message.length',
      'analytics.message.chunks',
    ]) {
      expect(after.of(name).count, name).toBe(11)
      expect(after.of(name).p95, name).toBeGreaterThan(0)
    }
    expect(after.of('analytics.chunk.size').count).toBe(after.of('analytics.chunks.received').sum)
    expect(after.of('analytics.message.chunks').sum).toBe(after.of('analytics.chunks.received').sum)
  }, 120_000)

  test('make a series over time', async () => {
    const query = 'metric=analytics.streams.completed&from=-1h&step=1h'
    const { points } = await get<{ points: { at: string; sum: number }[] }>(
      `/api/analytics/series?${query}`,
    )
    expect(points.reduce((total, { sum }) => total + sum, 0)).toBe(11)
  })
})

describe('what goes wrong', () => {
  test('is found in the audit, counted by its type, and told by the replay', async () => {
    const client = new WsClient(sluice.url, { sessionId: 'session_123' })
    const { cursor } = await client.live()
    await client.ask('/fast /error connection 3')
    await client.frame('done')
    client.cut()
    const back = new WsClient(sluice.url, { sessionId: 'session_123', cursor })
    await back.live()
    const strange = new WsClient(sluice.url, { sessionId: 'session_123', cursor: '1-1' })
    await strange.live()

    await audited('sessionId=session_123&eventType=RECOVERY_ATTEMPT', 2)
    // `WHERE event_type LIKE '%ERROR%'`, and recoveries that failed
    const errors = await audit('errors=true&from=-1h')
    expect(typesOf(errors)).toEqual(['RECOVERY_ATTEMPT', 'STREAM_ERROR'])
    expect(errors.map(({ eventData }) => eventData['errorType'] ?? eventData['result'])).toEqual([
      'snapshot',
      'connection',
    ])
    const found = await counted('analytics.recovery.failed', 1)
    expect(found.of('analytics.recovery.success').sum).toBe(1)
    const stream = found.of('analytics.errors.stream')
    expect({ sum: stream.sum, labels: stream.labels }).toEqual({
      sum: 1,
      labels: { error_type: 'connection' },
    })

    const { events } = await get<{ events: ReplayedEvent[] }>('/api/replay/sessions/session_123')
    const timeline = events
      .filter(({ eventType }) => /^(SESSION|STREAM_ERROR|RECOVERY)/.test(eventType))
      .map(({ eventType, error }) => `${eventType} - ${error ?? 'OK'}`)
    expect(timeline).toEqual([
      'SESSION_STARTED - OK',
      'STREAM_ERROR - The connection to the model failed.',
      'RECOVERY_ATTEMPT - OK',
      'RECOVERY_ATTEMPT - OK',
    ])
  }, 120_000)
})

describe('the queries of the guide', () => {
  test('a user’s activity by type, in all and by user', async () => {
    const stats = await get<{ total: number; counts: Record<string, number> }>(
      '/api/audit/stats?userId=demo_user&eventType=SESSION_STARTED',
    )
    expect(stats).toEqual({ total: 12, counts: { SESSION_STARTED: 12 } })
    const all = await get<typeof stats>('/api/audit/stats')
    expect(all.counts).toMatchObject({
      CHAT_MESSAGE: 24,
      SESSION_STARTED: 12,
      STREAM_COMPLETED: 11,
      STREAM_ERROR: 1,
      STREAM_STARTED: 12,
      RECOVERY_ATTEMPT: 2,
    })
    expect(all.counts).not.toHaveProperty('CHUNK_RECEIVED')
    expect(await audit('userId=nobody')).toEqual([])
  })

  test('a conversation, and the last hour', async () => {
    expect(typesOf(await audit('conversationId=test_3&from=-1h'))).toEqual([
      'CHAT_MESSAGE',
      'CHAT_MESSAGE',
      'SESSION_STARTED',
      'STREAM_COMPLETED',
      'STREAM_STARTED',
    ])
    expect(await audit('conversationId=test_3&to=-1h')).toEqual([])
  })

  test('a topic from a time on, event by event', async () => {
    const response = await fetch(`${sluice.url}/api/replay/topics/stream-events?from=-1h`, {
      headers: { accept: 'application/x-ndjson' },
    })
    const lines = (await response.text()).trim().split('\n')
    const end = JSON.parse(lines.pop() ?? '')
    const events = lines.map((line) => JSON.parse(line) as ReplayedEvent)
    expect(end).toEqual({ _replayEnd: { count: events.length, complete: true, missing: [] } })
    const of = (type: string) => events.filter(({ eventType }) => eventType === type).length
    expect(of('SESSION_STARTED')).toBe(12)
    expect(of('STREAM_COMPLETED')).toBe(11)
    expect(of('STREAM_ERROR')).toBe(1)
  })

  test('a range of offsets of one partition', async () => {
    const { events: all } = await get<{ events: ReplayedEvent[] }>(
      '/api/replay/topics/chat-events?from=-1h',
    )
    const { partition } = all[0]?._replay ?? { partition: 0 }
    const path = `/api/replay/topics/chat-events/partitions/${partition}`
    const { events } = await get<{ events: ReplayedEvent[] }>(`${path}?from=0&to=2`)
    expect(events.map(({ _replay }) => _replay.offset)).toEqual([0, 1])
    expect(events.map(({ eventType }) => eventType)).toEqual(['CHAT_MESSAGE', 'CHAT_MESSAGE'])
  })

  test('a message that was saved is found by its words, as a search indexer would', async () => {
    const { results } = await get<{ results: { sessionId: string; excerpt: string }[] }>(
      '/api/search?q=Kafka',
    )
    expect(results.find(({ sessionId }) => sessionId === 'test_session')?.excerpt).toContain(
      '<mark>Kafka</mark>',
    )
  })
})

async function metrics() {
  const { metrics: all } = await get<{ metrics: Metric[] }>('/api/analytics/summary?from=-1h')
  const none: Metric = { metric: '', labels: {}, count: 0, sum: 0, p95: null }
  return { of: (name: string) => all.find(({ metric }) => metric === name) ?? none }
}
