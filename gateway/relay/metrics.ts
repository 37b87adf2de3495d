import { metrics } from '@opentelemetry/api'

export interface RelayMetrics {
  /** A lot of events took so long to be acknowledged. */
  published(ms: number): void
  refused(topic: string): void
}

/** Call it once the process's telemetry is started: instruments that are older stay silent. */
export function relayMetrics(): RelayMetrics {
  const meter = metrics.getMeter('sluice')
  const duration = meter.createHistogram('relay.publish.duration', { unit: 'ms' })
  const refused = meter.createCounter('relay.refused')
  return {
    published: (ms) => duration.record(ms),
    refused: (topic) => refused.add(1, { topic }),
  }
}
