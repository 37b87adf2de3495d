import { describe, expect, test } from 'bun:test'
import { measurementsOf } from '#consumers/analytics/measurements.ts'
import { readRecord } from '#consumers/read-record.ts'
import { type Fields, placed, recordFor, Teller } from '../contract/consumers-events.ts'

function measured(event: Fields) {
  const reading = readRecord(placed(recordFor(event), 0), true)
  if (reading.is === 'bad') throw new Error(reading.message)
  return measurementsOf(reading.consumed)
}

const terminal = (fields: Record<string, unknown>) => {
  const teller = new Teller('s')
  const { messageId } = teller.chat({ outcome: 'cancelled' })
  const event = teller.events.find(({ eventType }) => eventType === 'STREAM_CANCELLED') as Fields
  return measured({ ...event, messageId, ...fields })
}

describe('what an event measures', () => {
  test('an answer that was cancelled before anything is known counts as cancelled alone', () => {
    const none = { totalChunks: undefined, chunkSizes: undefined, contentLength: undefined }
    expect(terminal(none).map(({ metric }) => metric)).toEqual(['analytics.streams.cancelled'])
  })

  test('chunk sizes are the middle of their range, with the exact sum where it is known', () => {
    const [, , sizes] = terminal({ totalChunks: 6, chunkSizes: [1, 0, 5], contentLength: 27 })
    expect(sizes).toMatchObject({
      metric: 'analytics.chunk.size',
      values: [
        { value: 1, times: 1, low: 1, high: 1 },
        { value: 5.5, times: 5, low: 4, high: 7 },
      ],
      sum: 27,
    })
  })

  test('a sum that its sizes cannot have, as with chunks of other kinds than text, is brought between', () => {
    expect(terminal({ chunkSizes: [0, 0, 5], contentLength: 2 })[2]).toMatchObject({ sum: 20 })
    expect(terminal({ chunkSizes: [0, 0, 5], contentLength: 999 })[2]).toMatchObject({ sum: 35 })
  })

  test('sizes that no chunk can have are left out', () => {
    const sizes = terminal({ chunkSizes: [...Array(2_000).fill(0), 1], totalChunks: 1 })
    expect(sizes.map(({ metric }) => metric)).not.toContain('analytics.chunk.size')
  })

  test('an answer that took no time has no pace', () => {
    const teller = new Teller('s')
    teller.chat()
    const event = teller.events.find(({ eventType }) => eventType === 'STREAM_COMPLETED') as Fields
    const metrics = measured({ ...event, durationMs: 0 }).map(({ metric }) => metric)
    expect(metrics).not.toContain('analytics.stream.words_per_second')
    expect(metrics).toContain('analytics.stream.duration')
  })

  test('of messages only answers are measured', () => {
    const teller = new Teller('s')
    teller.chat()
    const [question, answer] = teller.events.filter(({ eventType }) => eventType === 'CHAT_MESSAGE')
    expect(measured(question as Fields)).toEqual([])
    expect(measured(answer as Fields).map(({ metric }) => metric)).toEqual([
      'analytics.message.length',
      'analytics.message.chunks',
    ])
  })

  test('no label holds a user or a session', () => {
    const teller = new Teller('session-1', { userId: 'ada' })
    for (const outcome of ['completed', 'cancelled', 'failed', 'interrupted'] as const) {
      teller.chat({ outcome })
    }
    const labels = new Set(
      teller.events.flatMap(measured).flatMap((told) => Object.entries(told.labels).map(String)),
    )
    expect([...labels].sort()).toEqual(['error_type,connection', 'model,demo'])
  })
})
