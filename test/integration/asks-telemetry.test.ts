import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { context, metrics, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { type AsksNode, ann, asksNode } from '../support/asks-node.ts'

const question = { sessionId: 's1', content: 'Hi' }
const traceId = '0af7651916cd43dd8448eb211c80319c'
const traceparent = `00-${traceId}-b7ad6b7169203331-01`

async function traceparents(node: AsksNode): Promise<Set<string | undefined>> {
  const decoder = new TextDecoder()
  const records = await node.records()
  expect(records.length).toBeGreaterThan(3)
  return new Set(
    records.map(({ headers }) => {
      const header = headers.find(([name]) => name === 'traceparent')
      return header && decoder.decode(header[1])
    }),
  )
}

async function answered(node: AsksNode, given?: string): Promise<string | undefined> {
  const ask = { ...question, ...(given !== undefined && { traceparent: given }) }
  const { messageId } = await node.asks.ask(ann, ask)
  const call = await node.model.call(messageId)
  call.say('a')
  call.end()
  await node.done('s1', messageId)
  return call.request.traceparent
}

describe('without a collector', () => {
  test('a request’s trace goes on to the model and to every event', async () => {
    await using node = asksNode()
    expect(await answered(node, traceparent)).toBe(traceparent)
    expect(await traceparents(node)).toEqual(new Set([traceparent]))
  })

  test('what is no trace goes nowhere', async () => {
    await using node = asksNode()
    expect(await answered(node, 'x\r\ny')).toBeUndefined()
    expect(await traceparents(node)).toEqual(new Set([undefined]))
  })
})

describe('with a collector', () => {
  const spans = new InMemorySpanExporter()
  let exporter: InMemoryMetricExporter
  let reader: PeriodicExportingMetricReader

  beforeEach(() => {
    spans.reset()
    exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 60_000 })
    const processor = new SimpleSpanProcessor({ exporter: spans })
    context.setGlobalContextManager(new AsyncLocalStorageContextManager())
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [processor] }))
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  })

  afterEach(async () => {
    await reader.shutdown()
    for (const api of [trace, metrics, context, propagation]) api.disable()
  })

  test('the model call is a span below the request’s, and events carry it', async () => {
    await using node = asksNode()
    const upstream = await answered(node, traceparent)
    const [span] = spans.getFinishedSpans()
    expect(span?.spanContext().traceId).toBe(traceId)
    expect(span?.parentSpanContext?.spanId).toBe('b7ad6b7169203331')
    const own = `00-${traceId}-${span?.spanContext().spanId}-01`
    expect(upstream).toBe(own)
    expect(await traceparents(node)).toEqual(new Set([own]))
  })

  test('the answers under way are a gauge', async () => {
    const active = async () => {
      await reader.forceFlush()
      const found = exporter
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics)
      const gauge = found?.find(
        ({ descriptor }) => descriptor.name === 'gateway.generations.active',
      )
      return gauge?.dataPoints[0]?.value
    }
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    expect(await active()).toBe(1)
    await node.asks.cancel(ann, messageId)
    expect(await active()).toBe(0)
  })
})
