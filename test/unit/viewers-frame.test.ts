import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { ContractError } from '#gateway/chat/errors.ts'
import { answerFrames } from '#gateway/chat/viewers/answer-frames.ts'
import { errorFrame, framesOf, liveFrame, statusFrame } from '#gateway/chat/viewers/frame.ts'
import type { LogStep, StoredMessage } from '#gateway/generations/generations.ts'

const decoder = new TextDecoder()
const parsed = (frame: { json: string }) => JSON.parse(frame.json) as Record<string, unknown>

type Piece = { messageId?: string; kind?: 'text' | 'reasoning'; part?: number; text?: string }

/** Chunks in a row from seq 2, chunk 0. */
function chunks(...pieces: Piece[]): Extract<LogStep, { type: 'chunk' }>[] {
  const base = { messageId: 'm', kind: 'text', part: 0, text: 'x' } as const
  return pieces.map((piece, at) => ({
    type: 'chunk',
    seq: at + 2,
    chunkIndex: at,
    ...base,
    ...piece,
  }))
}

describe('framesOf', () => {
  test('one chunk is one frame, without what is the default', () => {
    const [frame] = framesOf(7, chunks({ text: 'say "hi"\n' }))
    expect(parsed(frame as never)).toEqual({
      type: 'chunk',
      messageId: 'm',
      chunkIndex: 0,
      text: 'say "hi"\n',
      seq: 2,
    })
  })

  test('every text survives, whatever has to be escaped in it', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary-ascii' }))
    const property = fc.property(text, (said) => {
      const [frame] = framesOf(7, chunks({ text: said }))
      expect(parsed(frame as never)['text']).toBe(said)
    })
    fc.assert(property, { numRuns: 500 })
    const units = Array.from({ length: 0x3000 }, (_, unit) => String.fromCharCode(unit)).join('')
    for (let at = 0; at < units.length; at += 7) {
      const [frame] = framesOf(7, chunks({ text: units.slice(at, at + 7) }))
      expect(parsed(frame as never)['text']).toBe(units.slice(at, at + 7))
    }
  })

  test('neighbours of one part are one frame that says where it begins', () => {
    const [frame, ...rest] = framesOf(7, chunks({ text: 'a' }, { text: 'b' }, { text: 'c' }))
    expect(rest).toEqual([])
    expect(parsed(frame as never)).toEqual({
      type: 'chunk',
      messageId: 'm',
      chunkIndex: 2,
      fromChunkIndex: 0,
      text: 'abc',
      fromSeq: 2,
      seq: 4,
    })
  })

  test('a frame crosses neither part nor kind nor answer', () => {
    const steps = chunks(
      { kind: 'reasoning' },
      { kind: 'reasoning' },
      { kind: 'text', part: 1 },
      { kind: 'text', part: 2 },
      { messageId: 'other', part: 2 },
    )
    const shape = framesOf(7, steps).map(parsed)
    expect(shape.map(({ kind, part, messageId }) => [kind, part, messageId])).toEqual([
      ['reasoning', undefined, 'm'],
      [undefined, 1, 'm'],
      [undefined, 2, 'm'],
      [undefined, 2, 'other'],
    ])
  })

  test('steps that are no chunks stand by themselves, closed with their seq', () => {
    const steps: LogStep[] = [
      { type: 'started', seq: 1, messageId: 'm', frame: '{"type":"started","messageId":"m"' },
      ...chunks({}),
      { type: 'done', seq: 3, messageId: 'm', frame: '{"type":"done","messageId":"m"' },
      { type: 'erased', seq: 4, frame: '{"type":"erased"' },
    ]
    expect(
      framesOf(7, steps)
        .map(parsed)
        .map(({ type, seq }) => [type, seq]),
    ).toEqual([
      ['started', 1],
      ['chunk', 2],
      ['done', 3],
      ['erased', 4],
    ])
  })

  test('of a snapshot they have no seq and no id', () => {
    const [frame] = framesOf(7, chunks({}, {}), { isNumbered: false })
    expect(Object.keys(parsed(frame as never))).not.toContain('seq')
    expect(Object.keys(parsed(frame as never))).not.toContain('fromSeq')
    expect(decoder.decode(frame?.event)).not.toContain('id:')
  })

  test('any chunks, merged, are dense, whole and at most 64 KiB', () => {
    const piece = fc.record({
      kind: fc.constantFrom('text' as const, 'reasoning' as const),
      part: fc.integer({ min: 0, max: 2 }),
      text: fc.oneof(
        fc.string({ minLength: 1, unit: 'grapheme' }),
        fc.integer({ min: 1, max: 5_000 }).map((length) => '語'.repeat(length)),
      ),
    })
    const property = fc.property(fc.array(piece, { minLength: 1, maxLength: 40 }), (pieces) => {
      let seq = 1
      let text = ''
      for (const frame of framesOf(7, chunks(...pieces)).map(parsed)) {
        expect((frame['fromSeq'] as number | undefined) ?? frame['seq']).toBe(seq + 1)
        seq = frame['seq'] as number
        text += frame['text'] as string
        expect(Buffer.byteLength(frame['text'] as string)).toBeLessThanOrEqual(65_536)
      }
      expect(seq).toBe(pieces.length + 1)
      expect(text).toBe(pieces.map((it) => it.text).join(''))
    })
    fc.assert(property, { numRuns: 100 })
  })
})

describe('as an SSE event', () => {
  test('a numbered frame has the id of its step', () => {
    const [frame] = framesOf(7, chunks({ text: 'ü\n' }))
    expect(decoder.decode(frame?.event)).toBe(`event: chunk\nid: 7-2\ndata: ${frame?.json}\n\n`)
  })

  test('live has the id that it says, also at 0', () => {
    const event = decoder.decode(liveFrame({ epoch: 7, seq: 0 }).event)
    expect(event).toBe('event: live\nid: 7-0\ndata: {"type":"live","cursor":"7-0"}\n\n')
  })

  test('others have none', () => {
    const error = errorFrame(new ContractError('rate_limited', 'slowly', { retryAfterMs: 1_000 }))
    for (const frame of [statusFrame('m', 'thinking'), error]) {
      expect(decoder.decode(frame.event)).not.toContain('id:')
    }
    expect(parsed(error)).toEqual({
      type: 'error',
      code: 'rate_limited',
      message: 'slowly',
      temporary: true,
      retryAfterMs: 1_000,
    })
  })
})

describe('a finished answer whose steps are gone', () => {
  const message: StoredMessage = {
    messageId: 'm',
    conversationId: 's',
    role: 'assistant',
    content: 'the text',
    outcome: 'completed',
    createdAt: '2026-01-01T00:00:00.000Z',
    chunks: 5,
    finishReason: 'stop',
  }

  test('has as many chunks as it had, and its done where it stood', () => {
    const frames = answerFrames(message, { epoch: 7, startedSeq: 10 }).map(parsed)
    expect(frames).toMatchObject([
      { type: 'chunk', fromChunkIndex: 0, chunkIndex: 4, fromSeq: 11, seq: 15, text: 'the text' },
      { type: 'done', chunks: 5, length: 8, finishReason: 'stop', outcome: 'completed', seq: 16 },
    ])
  })

  test('that never said a word has only its done', () => {
    const { chunks: _none, ...silent } = { ...message, content: '', outcome: 'failed' as const }
    const frames = answerFrames(silent, { epoch: 7, startedSeq: 10 }).map(parsed)
    expect(frames).toMatchObject([{ type: 'done', chunks: 0, length: 0, seq: 11 }])
  })

  test('that is long comes in pieces, none of which ends inside a pair', () => {
    const content = `x${'🌊'.repeat(20_000)}`
    const frames = answerFrames({ ...message, content, chunks: 100 }, { epoch: 7, startedSeq: 0 })
    const pieces = frames.slice(0, -1).map(parsed)
    expect(pieces.map(({ text }) => text).join('')).toBe(content)
    expect(pieces.every(({ text }) => (text as string).isWellFormed())).toBe(true)
    expect(pieces.at(-1)).toMatchObject({ chunkIndex: 99, seq: 100 })
  })
})
