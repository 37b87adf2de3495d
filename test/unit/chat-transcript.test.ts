import { describe, expect, test } from 'bun:test'
import { Runs, type RunsOptions, runsOver } from '#gateway/chat/answers/runs.ts'
import { Transcript } from '#gateway/chat/answers/transcript.ts'
import type { Chunk } from '#gateway/chat/text.ts'
import type { ChunkKind } from '#gateway/generations/generations.ts'
import type { Run } from '#gateway/generations/steps.ts'

const chunk = (text: string, over: Partial<Chunk> = {}): Chunk => ({
  kind: 'text',
  part: 0,
  text,
  bytes: Buffer.byteLength(text),
  atMs: 0,
  ...over,
})

function transcriptOf(...chunks: [ChunkKind, number, string][]): Transcript {
  const transcript = new Transcript()
  for (const [kind, part, text] of chunks) transcript.add({ kind, part, text })
  return transcript
}

const options: RunsOptions = {
  session: { sessionId: 's', tenantId: 't', userId: 'u' },
  messageId: '0193a1e0-0000-7000-8000-000000000000',
  nodeId: 'n',
  chunkEventMs: 1_000,
  eventContent: 'full',
  now: () => 1_764_000_000_000,
}

const told = (run: Run) => JSON.parse(`${run.event.json}}`) as Record<string, unknown>
const spans = (runs: Run[]) => runs.map(({ from, to }) => [from, to])

describe('a transcript', () => {
  test('gives any chunk back as it was added', () => {
    const all: [ChunkKind, number, string][] = [
      ['reasoning', 0, 'hm'],
      ['reasoning', 0, '👋'],
      ['text', 1, 'a'],
      ['text', 1, 'bcd'],
      ['reasoning', 2, 'e'],
    ]
    const transcript = transcriptOf(...all)
    expect(transcript.next).toBe(5)
    for (let from = 0; from <= 5; from++) {
      for (let to = from; to <= 5; to++) {
        const chunks = transcript.chunks(from, to)
        expect(chunks.map(({ kind, part, text }) => [kind, part, text])).toEqual(
          all.slice(from, to),
        )
      }
    }
  })

  test('has the text alone as content, and parts unless it is one part of text', () => {
    expect(transcriptOf().parts()).toBeUndefined()
    expect(transcriptOf(['text', 0, 'a'], ['text', 0, 'b']).parts()).toBeUndefined()
    const mixed = transcriptOf(['reasoning', 0, 'hm'], ['text', 1, 'a'], ['text', 1, 'b'])
    expect(mixed.content()).toBe('ab')
    expect(mixed.parts()).toEqual([
      { part: 0, kind: 'reasoning', text: 'hm' },
      { part: 1, kind: 'text', text: 'ab' },
    ])
    expect(transcriptOf(['reasoning', 0, 'hm']).parts()).toHaveLength(1)
  })

  test('counts chunks by the power of two of their length', () => {
    const lengths = [1, 1, 2, 3, 4, 7, 8, 1_000]
    const transcript = new Transcript()
    for (const length of lengths) transcript.add(chunk('x'.repeat(length)))
    expect(transcript.chunkSizes()).toEqual([2, 2, 2, 1, 0, 0, 0, 0, 0, 1])
  })
})

describe('runs of chunks', () => {
  test('are closed by a chunk that comes later than the bound', () => {
    const runs = new Runs(options, 0)
    const closed: Run[] = []
    for (const atMs of [0, 500, 999, 1_000, 1_500, 2_100]) runs.add(chunk('ab', { atMs }), closed)
    expect(spans(closed)).toEqual([
      [0, 3],
      [3, 5],
    ])
    runs.close(closed)
    runs.close(closed)
    expect(spans(closed)).toEqual([
      [0, 3],
      [3, 5],
      [5, 6],
    ])
    expect(closed.map(told)[0]).toMatchObject({
      eventType: 'CHUNK_RECEIVED',
      fromChunkIndex: 0,
      chunkIndex: 2,
      contentLength: 6,
      text: 'ababab',
    })
  })

  test('hold at most 16 KiB of whole chunks', () => {
    const transcript = new Transcript()
    for (let i = 0; i < 10; i++) transcript.add(chunk('é'.repeat(2_048)))
    const runs = runsOver(transcript, options, { told: 1, to: 10 })
    expect(spans(runs)).toEqual([
      [1, 5],
      [5, 9],
      [9, 10],
    ])
  })

  test('cross no part, and say which one they tell', () => {
    const transcript = transcriptOf(['reasoning', 0, 'a'], ['text', 1, 'b'], ['text', 1, 'c'])
    const runs = runsOver(transcript, options, { told: 0, to: 3 })
    expect(spans(runs)).toEqual([
      [0, 1],
      [1, 3],
    ])
    expect(runs.map(told)).toMatchObject([
      { kind: 'reasoning', part: 0, text: 'a' },
      { kind: 'text', part: 1, text: 'bc' },
    ])
  })

  test('are single chunks when the bound is 0, and without text when content is not told', () => {
    const each = runsOver(
      transcriptOf(['text', 0, 'a'], ['text', 0, 'bc']),
      { ...options, chunkEventMs: 0, eventContent: 'none' },
      { told: 0, to: 2 },
    )
    expect(spans(each)).toEqual([
      [0, 1],
      [1, 2],
    ])
    expect(each.map(told).map(({ contentLength, text }) => [contentLength, text])).toEqual([
      [1, undefined],
      [2, undefined],
    ])
  })
})
