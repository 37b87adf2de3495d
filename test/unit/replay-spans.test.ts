import { describe, expect, test } from 'bun:test'
import { type IndexedEvent, spansOf, wideSpans } from '#consumers/replay/session-spans.ts'
import type { Partition } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'

const stream: Partition = { topic: topics.stream, partition: 3 }
const chat: Partition = { topic: topics.chat, partition: 3 }
const at = (eventType: string, offset: number, place = stream): IndexedEvent => ({
  ...place,
  eventType,
  offset,
})
const kept = (from: number, to: number, place = stream) => ({ ...place, from, to })

describe('where a session stands', () => {
  test('is from the start of an answer to its end, and each other event by itself', () => {
    const indexed = [
      at('STREAM_STARTED', 10_000),
      at('STREAM_COMPLETED', 10_500),
      at('RECOVERY_ATTEMPT', 20_000),
      at('CHAT_MESSAGE', 5_000, chat),
    ]
    const audited = [
      { ...stream, offset: 90_000 },
      { ...chat, offset: 90_000 },
    ]
    expect(spansOf(indexed, [kept(0, 90_000), kept(0, 90_000, chat)], audited)).toEqual([
      { ...stream, from: 10_000, to: 10_501 },
      { ...stream, from: 20_000, to: 20_001 },
      { ...chat, from: 5_000, to: 5_001 },
    ])
  })

  test('goes on to the end of the log from where the audit is', () => {
    const audited = [{ ...stream, offset: 700 }]
    expect(spansOf([], [kept(0, 900)], audited)).toEqual([{ ...stream, from: 700, to: 900 }])
    expect(spansOf([], [kept(50, 900)], [])).toEqual([{ ...stream, from: 50, to: 900 }])
  })

  test('of an answer without an end is up to the next start, else to where the audit is', () => {
    const indexed = [at('STREAM_STARTED', 1_000), at('STREAM_STARTED', 5_000)]
    const audited = [{ ...stream, offset: 9_000 }]
    expect(spansOf(indexed, [kept(0, 9_000)], audited)).toEqual([
      { ...stream, from: 1_000, to: 9_000 },
    ])
  })

  test('joins what is near, so that many short answers are one read', () => {
    const indexed = [at('SESSION_STARTED', 1), at('STREAM_STARTED', 40), at('STREAM_ERROR', 90)]
    const audited = [{ ...stream, offset: 9_000 }]
    expect(spansOf(indexed, [kept(0, 9_000)], audited)).toEqual([{ ...stream, from: 1, to: 91 }])
  })

  test('asks for nothing that retention has deleted', () => {
    const indexed = [at('STREAM_STARTED', 10), at('STREAM_COMPLETED', 60)]
    const audited = [{ ...stream, offset: 100 }]
    expect(spansOf(indexed, [kept(50, 100)], audited)).toEqual([{ ...stream, from: 50, to: 61 }])
    expect(spansOf(indexed, [kept(80, 100)], audited)).toEqual([])
  })

  test('taken widely is all from the first event on, in its partitions only', () => {
    const other = { topic: topics.stream, partition: 4 }
    const ranges = [kept(0, 900), kept(0, 50, other)]
    expect(wideSpans([at('STREAM_STARTED', 30)], ranges)).toEqual([
      { ...stream, from: 30, to: 900 },
    ])
  })
})
