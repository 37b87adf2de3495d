import { describe, expect, test } from 'bun:test'
import type { HistoryMessage, ServerFrame, StartKind } from '#client/frames.ts'
import { Transcript } from '#client/transcript.ts'

const welcome = (start: StartKind): ServerFrame => ({
  type: 'welcome',
  sessionId: 's',
  userId: 'u',
  nodeId: 'n',
  protocol: 1,
  heartbeatMs: 1000,
  start,
})
const live = (cursor: string): ServerFrame => ({ type: 'live', cursor })
const question: HistoryMessage = {
  messageId: 'q',
  conversationId: 's',
  role: 'user',
  content: 'why?',
  outcome: 'completed',
  createdAt: '2026-01-01T00:00:00.000Z',
}
const active = { messageId: 'a', userMessageId: 'q', model: 'demo' }
const history = (isActive = false): ServerFrame => ({
  type: 'history',
  messages: [question],
  active: isActive ? active : null,
})
const started = (seq: number): ServerFrame => ({
  type: 'started',
  seq,
  messageId: 'a',
  userMessage: { messageId: 'q', content: 'why?', createdAt: question.createdAt },
  model: 'demo',
})
const chunk = (seq: number, chunkIndex: number, text: string, more = {}): ServerFrame => ({
  type: 'chunk',
  messageId: 'a',
  seq,
  chunkIndex,
  text,
  ...more,
})
const done = (seq: number, chunks: number, length: number): ServerFrame => ({
  type: 'done',
  seq,
  messageId: 'a',
  outcome: 'completed',
  chunks,
  length,
  sha256: '',
})

/** Applies all; every frame but the last must fit. */
function play(...frames: ServerFrame[]) {
  const transcript = new Transcript()
  const verdicts = frames.map((frame) => transcript.apply(frame))
  expect(verdicts.slice(0, -1).every((verdict) => verdict === 'ok')).toBe(true)
  return { transcript, verdict: verdicts.at(-1) }
}

const text = (transcript: Transcript) => transcript.messages.map((message) => message.content)

describe('the cursor', () => {
  test('is not there until live, and then follows each numbered frame', () => {
    const { transcript } = play(welcome('fresh'), history())
    expect(transcript.cursor).toBeNull()
    transcript.apply(live('7-0'))
    expect(transcript.cursor).toBe('7-0')
    transcript.apply(started(1))
    expect(transcript.cursor).toBe('7-1')
    transcript.apply(chunk(4, 2, 'abc', { fromSeq: 2, fromChunkIndex: 0 }))
    expect(transcript.cursor).toBe('7-4')
    transcript.apply({ type: 'status', messageId: 'a', status: 'stalled' })
    expect(transcript.cursor).toBe('7-4')
  })

  test('counts from the first numbered frame after resumed', () => {
    const { transcript } = play(welcome('fresh'), history(), live('7-0'), started(1))
    transcript.apply(welcome('resumed'))
    expect(transcript.apply(chunk(2, 0, 'x'))).toBe('ok')
    expect(transcript.cursor).toBe('7-2')
    expect(transcript.apply(live('7-2'))).toBe('ok')
  })

  test('is gone when a snapshot breaks off', () => {
    const { transcript } = play(welcome('fresh'), history(), live('7-5'), welcome('snapshot'))
    expect(transcript.cursor).toBeNull()
  })
})

describe('a gap', () => {
  const start = [welcome('fresh'), history(), live('7-0'), started(1)]
  test.each([
    ['a step left out', [...start, chunk(3, 0, 'x')]],
    ['a step said twice', [...start, chunk(2, 0, 'x'), chunk(2, 1, 'x')]],
    ['a run that begins too late', [...start, chunk(5, 2, 'x', { fromSeq: 3, fromChunkIndex: 0 })]],
    ['a chunk index left out', [...start, chunk(2, 1, 'x')]],
    ['a chunk of an unknown answer', [welcome('fresh'), live('7-0'), chunk(1, 0, 'x')]],
    ['a done with other chunks', [...start, chunk(2, 0, 'x'), done(3, 2, 1)]],
    ['a done of another length', [...start, chunk(2, 0, 'x'), done(3, 1, 2)]],
    ['resumed without a cursor', [welcome('resumed')]],
    ['live after resumed beyond the steps', [...start, welcome('resumed'), live('7-3')]],
    ['live of another epoch after resumed', [...start, welcome('resumed'), live('8-1')]],
    ['a numbered step inside a snapshot', [welcome('fresh'), history(), started(1)]],
    [
      'a snapshot whose chunks have a hole',
      [welcome('fresh'), history(true), { ...chunk(0, 1, 'x'), seq: undefined }],
    ],
  ] as [string, ServerFrame[]][])('is %s', (_what, frames) => {
    expect(play(...frames).verdict).toBe('gap')
  })
})

describe('a snapshot', () => {
  const chunks = [0, 1, 2].map((index): ServerFrame => {
    const { seq: _seq, ...rest } = chunk(0, index, 'abc'[index] ?? '') as ServerFrame & { seq: 0 }
    return rest as ServerFrame
  })

  test('counts its chunks by index and goes on with numbered ones', () => {
    const { transcript, verdict } = play(
      welcome('fresh'),
      history(true),
      ...chunks,
      live('7-4'),
      chunk(5, 3, 'd'),
      done(6, 4, 4),
    )
    expect(verdict).toBe('ok')
    expect(text(transcript)).toEqual(['why?', 'abcd'])
    expect(transcript.messages[1]?.parentMessageId).toBe('q')
    expect(transcript.activeId).toBeNull()
  })

  test('is shown as it comes on an empty page', () => {
    const { transcript } = play(welcome('fresh'), history(true), ...chunks.slice(0, 2))
    expect(text(transcript)).toEqual(['why?', 'ab'])
  })

  test('replaces what is shown at once, when it is whole', () => {
    const { transcript } = play(
      welcome('fresh'),
      history(),
      live('7-0'),
      started(1),
      chunk(2, 0, 'long answer'),
      welcome('snapshot'),
      history(true),
      ...chunks,
    )
    expect(text(transcript)).toEqual(['why?', 'long answer'])
    transcript.apply(live('8-4'))
    expect(text(transcript)).toEqual(['why?', 'abc'])
  })
})

test('kinds become parts; a kind that is not known is counted and adds no text', () => {
  const { transcript, verdict } = play(
    welcome('fresh'),
    history(),
    live('7-0'),
    started(1),
    chunk(2, 0, 'Let me ', { kind: 'reasoning', part: 0 }),
    chunk(3, 1, 'think.', { kind: 'reasoning', part: 0 }),
    chunk(4, 2, 'Yes', { part: 1 }),
    { type: 'chunk', messageId: 'a', seq: 5, chunkIndex: 3, kind: 'hologram', part: 2, data: 1 },
    chunk(6, 4, '.', { part: 3 }),
    done(7, 5, 4),
  )
  expect(verdict).toBe('ok')
  expect(transcript.messages[1]).toMatchObject({
    content: 'Yes.',
    outcome: 'completed',
    parts: [
      { part: 0, kind: 'reasoning', text: 'Let me think.' },
      { part: 1, kind: 'text', text: 'Yes' },
      { part: 2, kind: 'hologram', data: 1 },
      { part: 3, kind: 'text', text: '.' },
    ],
  })
})

test('erased empties the session, and the next step follows it', () => {
  const { transcript, verdict } = play(
    welcome('fresh'),
    history(),
    live('7-4'),
    { type: 'erased', seq: 5 },
    started(6),
  )
  expect(verdict).toBe('ok')
  expect(text(transcript)).toEqual(['why?', ''])
})

test('unknown frames change nothing', () => {
  const { transcript, verdict } = play(welcome('fresh'), history(), live('7-4'), {
    type: 'fireworks',
  } as unknown as ServerFrame)
  expect(verdict).toBe('ok')
  expect(transcript.cursor).toBe('7-4')
})

test('a message that did not change is the same object', () => {
  const { transcript } = play(welcome('fresh'), history(), live('7-0'), started(1))
  const before = transcript.messages
  transcript.apply(chunk(2, 0, 'x'))
  expect(transcript.messages[0]).toBe(before[0])
  expect(transcript.messages[1]).not.toBe(before[1])
  expect(before[1]?.content).toBe('')
})
