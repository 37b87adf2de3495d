import { type Counter, type Histogram, metrics } from '@opentelemetry/api'
import { counters, histograms, type Told } from './measurements.ts'

const units: Record<string, string> = {
  'analytics.stream.duration': 'ms',
  'analytics.stream.time_to_first_chunk': 'ms',
}

/** Records measurements as this process's metrics. Make it once telemetry is started: an older one stays silent. */
export function analyticsInstruments(): (told: Told) => void {
  const meter = metrics.getMeter('sluice')
  const counterOf = new Map<string, Counter>()
  const histogramOf = new Map<string, Histogram>()
  for (const name of counters) counterOf.set(name, meter.createCounter(name))
  for (const name of histograms) {
    const unit = units[name]
    histogramOf.set(name, meter.createHistogram(name, unit === undefined ? {} : { unit }))
  }
  return (told) => {
    if (told.is === 'count') {
      counterOf.get(told.metric)?.add(told.add, told.labels)
      return
    }
    const histogram = histogramOf.get(told.metric)
    for (const { value, times } of told.values) {
      for (let time = 0; time < Math.min(times, timesMax); time += 1) {
        histogram?.record(value, told.labels)
      }
    }
  }
}

// Of one size in one answer: an answer has no more chunks than this, whatever somebody's event says.
const timesMax = 100_000
