import { describe, expect, test } from 'bun:test'
import { OtlpCollector } from '../support/otlp-collector.ts'
import { type SluiceProcess, startSluice } from '../support/sluice-process.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const callerSpan = 'b7ad6b7169203331'

function starting(collector: OtlpCollector, protocol: string): Promise<SluiceProcess> {
  return startSluice({
    dataDir: tempDir(),
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20b',
      OTEL_METRIC_EXPORT_INTERVAL: '500',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    },
  })
}

async function ask(sluice: SluiceProcess, sessionId: string, message: string): Promise<string> {
  const response = await fetch(`${sluice.url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${traceId}-${callerSpan}-01` },
    body: JSON.stringify({ sessionId, message }),
  })
  return ((await response.json()) as { messageId: string }).messageId
}

interface Told {
  kind: string
  unit: string
  labels: string[]
}

const ms = (...labels: string[]): Told => ({ kind: 'histogram', unit: 'ms', labels })
const histogram = (...labels: string[]): Told => ({ kind: 'histogram', unit: '', labels })
const counter = (...labels: string[]): Told => ({ kind: 'counter', unit: '', labels })

/** What one process on embedded parts tells when nothing is parked, retried, missing or too slow. */
const wanted: Record<string, Told> = {
  'analytics.sessions.started': counter(),
  'analytics.streams.completed': counter(),
  'analytics.streams.cancelled': counter(),
  'analytics.chunks.received': counter(),
  'analytics.errors.stream': counter('error_type'),
  'analytics.recovery.success': counter(),
  'analytics.recovery.failed': counter(),
  'analytics.stream.duration': ms('model'),
  'analytics.stream.time_to_first_chunk': ms('model'),
  'analytics.stream.words_per_second': histogram('model'),
  'analytics.message.length': histogram(),
  'analytics.message.chunks': histogram(),
  'analytics.chunk.size': histogram(),
  'gateway.chunk.latency': ms(),
  'gateway.resume.duration': ms(),
  'gateway.connections': { kind: 'gauge', unit: '', labels: ['transport'] },
  'gateway.generations.active': { kind: 'gauge', unit: '', labels: [] },
  'consumer.processed': counter('group', 'topic'),
  'consumer.batch.duration': ms('group', 'topic'),
  'consumer.lag': { kind: 'gauge', unit: '{record}', labels: ['group', 'partition', 'topic'] },
  'consumer.lag.seconds': { kind: 'gauge', unit: 's', labels: ['group', 'partition', 'topic'] },
}

/** One of everything that is counted. */
async function everything(sluice: SluiceProcess): Promise<void> {
  const client = new WsClient(sluice.url, { sessionId: 's-secret' })
  const { cursor } = await client.live()
  await client.ask('/fast one')
  await client.frame('done')
  await client.ask('/fast /error upstream 3')
  await client.frame('done', 1)
  const { messageId } = await client.ask('/slow /long')
  await until(() => client.all('chunk').some((frame) => frame.messageId === messageId))
  client.send({ type: 'cancel', messageId })
  await client.frame('cancelled')
  for (const from of [cursor, '1-1']) {
    const back = new WsClient(sluice.url, { sessionId: 's-secret', cursor: from })
    await back.live()
    back.cut()
  }
}

describe('telemetry over http/json', () => {
  test('tells every metric by its name, unit and labels, and none of them holds a user or a session', async () => {
    await using collector = new OtlpCollector()
    await using sluice = await starting(collector, 'http/json')
    await everything(sluice)
    const told = (name: string): Told | null => {
      const metric = collector.metric(name)
      if (metric === null || metric.points.length === 0) return null
      const [point] = metric.points
      const labels = Object.keys(point?.attributes ?? {}).sort()
      return { kind: metric.kind, unit: metric.unit, labels }
    }
    await until(() => Object.keys(wanted).every((name) => told(name) !== null), {
      ...{ what: 'every metric has come', timeoutMs: 60_000, everyMs: 50 },
    })
    for (const [name, as] of Object.entries(wanted))
      expect({ name, ...told(name) }).toEqual({ name, ...as })
    const isOther = (name: string) =>
      /^(analytics|gateway|consumer|outbox|relay)\./.test(name) && !(name in wanted)
    expect(collector.names().filter(isOther)).toEqual([])
    expect(JSON.stringify(collector.labels())).not.toMatch(/demo_user|s-secret/)
    expect(collector.services).toEqual(new Set(['sluice-start']))

    const total = (name: string) =>
      collector
        .metric(name)
        ?.points.reduce((sum, point) => sum + (point.value ?? point.count ?? 0), 0)
    await until(() => total('analytics.recovery.failed') === 1, { timeoutMs: 10_000 })
    expect({
      started: total('analytics.sessions.started'),
      completed: total('analytics.streams.completed'),
      cancelled: total('analytics.streams.cancelled'),
      errors: total('analytics.errors.stream'),
      recovered: total('analytics.recovery.success'),
      durations: total('analytics.stream.duration'),
    }).toEqual({ started: 1, completed: 1, cancelled: 1, errors: 1, recovered: 1, durations: 1 })
    expect(collector.metric('analytics.errors.stream')?.points[0]?.attributes).toEqual({
      error_type: 'upstream',
    })
  }, 120_000)

  test('draws one trace from the request over the model’s call to the write of each consumer', async () => {
    await using collector = new OtlpCollector()
    await using sluice = await starting(collector, 'http/json')
    await ask(sluice, 's', '/fast Hi')
    const request = await collector.span('POST /api/chat')
    expect(request).toMatchObject({
      traceId,
      parentSpanId: callerSpan,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/api/chat',
        'http.response.status_code': 202,
      },
    })
    const model = await collector.span('model.stream')
    expect(model).toMatchObject({ traceId, parentSpanId: request.spanId })
    for (const consumer of ['audit', 'history', 'analytics']) {
      const isOfIt = ({ links }: { links: { spanId: string }[] }) =>
        links.some((link) => link.spanId === model.spanId)
      const batch = await collector.span(`consume ${consumer}`, isOfIt)
      expect(batch.links.length).toBeLessThanOrEqual(128)
      const write = await collector.span(
        'database.write',
        ({ parentSpanId }) => parentSpanId === batch.spanId,
      )
      expect(write.traceId).toBe(batch.traceId)
    }
    const asked = new WsClient(sluice.url, { sessionId: 's' })
    await asked.live()
    await asked.ask('/fast Hi')
    const chat = await collector.span('chat')
    expect(chat.attributes).toEqual({ transport: 'websocket' })
    await collector.span('model.stream', ({ parentSpanId }) => parentSpanId === chat.spanId)
  }, 120_000)
})

test('telemetry over http/protobuf comes to its paths, with the headers that it was given', async () => {
  await using collector = new OtlpCollector()
  await using sluice = await starting(collector, 'http/protobuf')
  await ask(sluice, 's', '/fast Hi')
  for (const path of ['/v1/metrics', '/v1/traces']) {
    await until(() => collector.requests.some((request) => request.path === path), {
      ...{ what: path, timeoutMs: 60_000 },
    })
  }
  for (const { contentType, bytes, header } of collector.requests) {
    expect({ contentType, header }).toEqual({
      contentType: 'application/x-protobuf',
      header: 'a b',
    })
    expect(bytes).toBeGreaterThan(0)
  }
}, 90_000)

test('a collector that is away delays neither an answer nor the end by long', async () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  }
  await using sluice = await startSluice({ dataDir: tempDir(), env })
  const client = new WsClient(sluice.url, { sessionId: 's' })
  await client.live()
  await client.ask('/fast Hi')
  expect(await client.frame('done')).toMatchObject({ outcome: 'completed' })
  client.cut()
  const fromMs = performance.now()
  expect(await sluice.kill('SIGTERM')).toBe(0)
  expect(performance.now() - fromMs).toBeLessThan(15_000)
}, 90_000)
