import { metrics, type ObservableResult } from '@opentelemetry/api'
import type { Backlog } from '../generations/redis/backlog.ts'

/** `outbox.depth` and `outbox.age`: most wanted while no relay is there to tell them. */
export function outboxGauges(backlog: Pick<Backlog, 'events' | 'ageMs'>): Disposable {
  const meter = metrics.getMeter('sluice')
  const depth = meter.createObservableGauge('outbox.depth')
  const age = meter.createObservableGauge('outbox.age', { unit: 's' })
  const observeDepth = (result: ObservableResult) => result.observe(backlog.events)
  const observeAge = (result: ObservableResult) => result.observe(backlog.ageMs / 1_000)
  depth.addCallback(observeDepth)
  age.addCallback(observeAge)
  return {
    [Symbol.dispose]() {
      depth.removeCallback(observeDepth)
      age.removeCallback(observeAge)
    },
  }
}
