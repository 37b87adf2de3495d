import type { Measurement, Sample } from '#db/queries/add-analytics.ts'
import type { ConsumedEvent } from '../define.ts'
import { timeOfEvent } from '../event-time.ts'

/** Every metric that the events tell. */
export const counters = [
  'analytics.sessions.started',
  'analytics.streams.completed',
  'analytics.streams.cancelled',
  'analytics.chunks.received',
  'analytics.errors.stream',
  'analytics.recovery.success',
  'analytics.recovery.failed',
] as const

export const histograms = [
  'analytics.stream.duration',
  'analytics.stream.time_to_first_chunk',
  'analytics.stream.words_per_second',
  'analytics.message.length',
  'analytics.message.chunks',
  'analytics.chunk.size',
] as const

type CounterName = (typeof counters)[number]
type HistogramName = (typeof histograms)[number]

/** One of ours: what `addAnalytics` takes, of a metric that there is. */
export type Told = Measurement &
  ({ is: 'count'; metric: CounterName } | { is: 'values'; metric: HistogramName })

type Labels = Measurement['labels']

/** What one event says, complete in itself. */
export function measurementsOf(consumed: ConsumedEvent): Told[] {
  if (!consumed.isKnown) return []
  const { event } = consumed
  const atMs = timeOfEvent(event)
  const count = (metric: CounterName, add = 1, labels: Labels = {}): Told => ({
    is: 'count',
    metric,
    add,
    labels,
    atMs,
  })
  const value = (
    metric: HistogramName,
    measured: number | undefined,
    labels: Labels = {},
  ): Told[] =>
    measured === undefined
      ? []
      : [{ is: 'values', metric, values: [{ value: measured, times: 1 }], labels, atMs }]
  switch (event.eventType) {
    case 'SESSION_STARTED':
      return [count('analytics.sessions.started')]
    case 'STREAM_COMPLETED': {
      const { durationMs, timeToFirstChunkMs, wordCount, model } = event
      const pace = durationMs > 0 ? (wordCount / durationMs) * 1_000 : undefined
      return [
        count('analytics.streams.completed'),
        ...value('analytics.stream.duration', durationMs, { model }),
        ...value('analytics.stream.time_to_first_chunk', timeToFirstChunkMs, { model }),
        ...value('analytics.stream.words_per_second', pace, { model }),
        ...chunksOf(event, atMs),
      ]
    }
    case 'STREAM_CANCELLED':
      return [count('analytics.streams.cancelled'), ...chunksOf(event, atMs)]
    case 'STREAM_ERROR':
      return [
        count('analytics.errors.stream', 1, { error_type: event.errorType }),
        ...chunksOf(event, atMs),
      ]
    case 'RECOVERY_ATTEMPT':
      return [count(event.success ? 'analytics.recovery.success' : 'analytics.recovery.failed')]
    case 'CHAT_MESSAGE':
      if (event.role !== 'assistant') return []
      return [
        ...value('analytics.message.length', event.contentLength),
        ...value('analytics.message.chunks', event.totalChunks),
      ]
    default:
      return []
  }
}

// No answer has a chunk of 2^40 units, whatever somebody's event says.
const powersMax = 40

interface Chunks {
  totalChunks?: number | undefined
  contentLength?: number | undefined
  chunkSizes?: number[] | undefined
}

/** Chunks are counted from how an answer ended, never from the events that tell them: those may overlap. */
function chunksOf({ totalChunks, contentLength, chunkSizes = [] }: Chunks, atMs: number) {
  const told: Told[] = []
  const labels = {}
  if (totalChunks !== undefined) {
    told.push({ is: 'count', metric: 'analytics.chunks.received', add: totalChunks, labels, atMs })
  }
  const values = chunkSizes.slice(0, powersMax).flatMap((times, power): Sample[] => {
    const low = 2 ** power
    const high = 2 * low - 1
    return times === 0 ? [] : [{ value: (low + high) / 2, times, low, high }]
  })
  if (values.length === 0) return told
  const least = total(values, ({ low = 0 }) => low)
  const most = total(values, ({ high = 0 }) => high)
  // Chunks of other kinds than text are among the sizes, but not in the length.
  const sum =
    contentLength === undefined ? {} : { sum: Math.min(most, Math.max(least, contentLength)) }
  told.push({ is: 'values', metric: 'analytics.chunk.size', values, labels, atMs, ...sum })
  return told
}

function total(samples: readonly Sample[], size: (sample: Sample) => number): number {
  return samples.reduce((sum, sample) => sum + size(sample) * sample.times, 0)
}
