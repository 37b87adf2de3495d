import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { metrics } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { analyticsConsumer } from '#consumers/analytics/handle.ts'
import { auditConsumer } from '#consumers/audit/handle.ts'
import { topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import { Bench } from '../contract/consumers-bench.ts'
import { Teller, textRecord } from '../contract/consumers-events.ts'
import { postgresParts, type StoredParts } from '../contract/consumers-parts.ts'
import { Running } from '../contract/consumers-running.ts'
import { until } from '../support/until.ts'

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
let parts: StoredParts

beforeAll(async () => {
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  parts = await postgresParts()
})
afterAll(async () => {
  await reader.shutdown()
  metrics.disable()
})

type Value = number | { count: number; sum?: number }

/** `name{labels}` → what the process would export now. */
async function exported(): Promise<Record<string, Value>> {
  exporter.reset()
  await reader.forceFlush()
  const values: Record<string, Value> = {}
  for (const { scopeMetrics } of exporter.getMetrics()) {
    for (const { descriptor, dataPoints } of scopeMetrics.flatMap((scope) => scope.metrics)) {
      for (const { attributes, value } of dataPoints) {
        const labels = Object.entries(attributes).map(([name, label]) => `${name}=${label}`)
        const isNumber = typeof value === 'number'
        values[`${descriptor.name}{${labels.sort().join()}}`] = isNumber
          ? value
          : { count: value.count, ...('sum' in value && { sum: Number(value.sum) }) }
      }
    }
  }
  return values
}

describe('metrics of consumers', () => {
  test('count what was handled, and nothing of a batch that was rolled back', async () => {
    const bench = await Bench.open(parts)
    bench.database.fails = 'before'
    const running = new Running({ ...parts, database: bench.database }, [analyticsConsumer()])
    const teller = new Teller('t1')
    teller.chat({ answer: ['a', 'bcd', 'efgh'] })
    teller.chat({ answer: [], outcome: 'failed' })
    await parts.eventLog.produce(teller.records())
    await until(() => bench.database.transactions >= 3)
    bench.database.fails = 'never'
    await running.settled()
    const values = (await until(async () => {
      const now = await exported()
      return now['analytics.errors.stream{error_type=connection}'] === undefined ? null : now
    })) as Record<string, Value>
    expect(values).toMatchObject({
      'analytics.sessions.started{}': 1,
      'analytics.streams.completed{}': 1,
      'analytics.errors.stream{error_type=connection}': 1,
      'analytics.chunks.received{}': 3,
      'analytics.stream.duration{model=demo}': { count: 1, sum: 2_000 },
      'analytics.stream.time_to_first_chunk{model=demo}': { count: 1, sum: 120 },
      'analytics.stream.words_per_second{model=demo}': { count: 1, sum: 0.5 },
      'analytics.message.length{}': { count: 2, sum: 8 },
      'analytics.message.chunks{}': { count: 2, sum: 3 },
      'analytics.chunk.size{}': { count: 3 },
    })
    const ours = Object.keys(values).filter((name) => name.includes('analytics-consumer'))
    expect(ours.some((name) => name.startsWith('consumer.processed'))).toBe(true)
    expect(ours.some((name) => name.startsWith('consumer.batch.duration'))).toBe(true)
    expect(ours.some((name) => name.startsWith('consumer.lag{'))).toBe(true)
    expect(ours.some((name) => name.startsWith('consumer.lag.seconds{'))).toBe(true)
    expect(Object.keys(values).join()).not.toContain('t1')
    expect(Object.keys(values).join()).not.toContain('ada')
  })

  test('count what was parked, retried and missed', async () => {
    const teller = new Teller('t2')
    for (let chat = 0; chat < 3; chat += 1) teller.chat()
    const lost = teller.events.findIndex(
      ({ eventType, seq }) => eventType === 'CHUNK_RECEIVED' && Number(seq) === 7,
    )
    teller.events.splice(lost, 1)
    const running = new Running(parts, [auditConsumer({ log: quietLog })])
    await running.handle([...teller.records(), textRecord(topics.stream, 'k', 'broken')])
    const bench = await Bench.open(parts)
    await bench.beginAtEnd()
    let tries = 0
    const consumer = bench.run({}, () => {
      tries += 1
      if (tries === 1) throw new Error('once more')
    })
    const other = new Teller('t3')
    other.tell('CLIENT_CONNECTED', { transport: 'ws', connectionId: 'c' })
    await bench.produce(other.records())
    await until(() => tries === 2)
    await consumer.stop()
    const values = await exported()
    const group = 'group=audit-trail-consumer'
    expect(values[`consumer.gaps{${group}}`]).toBe(1)
    expect(values[`consumer.parked{error_type=decode,${group},topic=stream-events}`]).toBe(1)
    expect(values[`consumer.retries{group=${bench.groupId},topic=stream-events}`]).toBe(1)
  })
})
