import {
  type Attributes,
  type Counter,
  type Histogram,
  type Link,
  metrics,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import type { Kept } from '#eventlog/event-log.ts'

/** What a consumer counts of itself. Labels never hold a user or a session. */
export interface ConsumerMetrics {
  processed: Counter
  retries: Counter
  parked: Counter
  gaps: Counter
  batchDuration: Histogram
}

/** Call it once the process's telemetry is started: instruments that are older stay silent. */
export function consumerMetrics(): ConsumerMetrics {
  const meter = metrics.getMeter('sluice')
  return {
    processed: meter.createCounter('consumer.processed'),
    retries: meter.createCounter('consumer.retries'),
    parked: meter.createCounter('consumer.parked'),
    gaps: meter.createCounter('consumer.gaps'),
    batchDuration: meter.createHistogram('consumer.batch.duration', { unit: 'ms' }),
  }
}

export interface PartitionLag {
  topic: string
  partition: number
  /** The next offset that the group has not handled. */
  position: number
  end: number
  /** Records. */
  lag: number
  /** Age of the oldest record that is not handled. */
  lagSeconds: number
}

/** How far a partition is behind the end of what is kept of it. */
export function lagOf(
  { topic, partition, from, to }: Kept,
  at: { position: number | null; waitingSinceMs: number | null },
  nowMs: number,
): PartitionLag {
  const position = at.position ?? from
  const lagSeconds = Math.max(0, (nowMs - (at.waitingSinceMs ?? nowMs)) / 1_000)
  return { topic, partition, position, end: to, lag: Math.max(0, to - position), lagSeconds }
}

/** Reports lag whenever metrics are collected, until the answer is called. */
export function reportLag(group: string, lag: () => Promise<PartitionLag[]>): () => void {
  const meter = metrics.getMeter('sluice')
  const records = meter.createObservableGauge('consumer.lag', { unit: '{record}' })
  const seconds = meter.createObservableGauge('consumer.lag.seconds', { unit: 's' })
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = async (result) => {
    for (const { topic, partition, ...figures } of await lag()) {
      const labels = { group, topic, partition }
      result.observe(records, figures.lag, labels)
      result.observe(seconds, figures.lagSeconds, labels)
    }
  }
  meter.addBatchObservableCallback(observe, [records, seconds])
  return () => meter.removeBatchObservableCallback(observe, [records, seconds])
}

const linksMax = 128
const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** A span around a batch, linked to what led to its first events. */
export function inBatchSpan<T>(
  name: string,
  attributes: Attributes,
  traceparents: (string | undefined)[],
  run: () => Promise<T>,
): Promise<T> {
  const links: Link[] = []
  for (const text of traceparents) {
    if (links.length === linksMax) break
    const match = text === undefined ? null : traceparent.exec(text)
    const [, traceId, spanId, flags] = match ?? []
    if (traceId === undefined || spanId === undefined || flags === undefined) continue
    links.push({ context: { traceId, spanId, traceFlags: Number.parseInt(flags, 16) } })
  }
  return inSpan(name, { kind: SpanKind.CONSUMER, attributes, links }, run)
}

/** A span around the transaction of a batch, below the batch's own. */
export function inWriteSpan<T>(group: string, run: () => Promise<T>): Promise<T> {
  const attributes = { 'db.system.name': 'postgresql', group }
  return inSpan('database.write', { kind: SpanKind.CLIENT, attributes }, run)
}

function inSpan<T>(name: string, options: SpanOptions, run: () => Promise<T>): Promise<T> {
  return trace.getTracer('sluice').startActiveSpan(name, options, async (span) => {
    try {
      return await run()
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}
