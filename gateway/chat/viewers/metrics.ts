import { metrics } from '@opentelemetry/api'
import type { Transport } from './outlet.ts'

/** What viewers measure. Recorded per flush and per connection, never per viewer of a flush. */
export interface ViewerMetrics {
  /** Milliseconds from the model's token to the sockets. */
  chunk(latencyMs: number): void
  /** Milliseconds from a connection with a cursor to its `live`. */
  resumed(durationMs: number): void
  slowClient(transport: Transport): void
  stop(): void
}

export function viewerMetrics(connections: () => Record<Transport, number>): ViewerMetrics {
  const meter = metrics.getMeter('sluice')
  const latency = meter.createHistogram('gateway.chunk.latency', { unit: 'ms' })
  const resume = meter.createHistogram('gateway.resume.duration', { unit: 'ms' })
  const slow = meter.createCounter('gateway.slow_clients')
  const gauge = meter.createObservableGauge('gateway.connections')
  const observe: Parameters<typeof gauge.addCallback>[0] = (result) => {
    for (const [transport, count] of Object.entries(connections())) {
      result.observe(count, { transport })
    }
  }
  gauge.addCallback(observe)
  return {
    chunk: (latencyMs) => latency.record(Math.max(0, latencyMs)),
    resumed: (durationMs) => resume.record(durationMs),
    slowClient: (transport) => slow.add(1, { transport }),
    stop: () => gauge.removeCallback(observe),
  }
}
