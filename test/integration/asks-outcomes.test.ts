import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { ModelError, type ModelErrorType } from '#gateway/models/model.ts'
import { ann, asksNode } from '../support/asks-node.ts'
import { until } from '../support/until.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const question = { sessionId: 's1', content: 'Hi\r\n there ' }

describe('an accepted question', () => {
  test('gets its answer chunk by chunk, and one done that adds up', async () => {
    await using node = asksNode()
    const accepted = await node.asks.ask(ann, question)
    expect(accepted).toMatchObject({ sessionId: 's1', conversationId: 's1', duplicate: false })
    const call = await node.model.call(accepted.messageId)
    call.say('Hel', 'lo', '', ' wörld')
    call.end({ usage: { inputTokens: 3, outputTokens: 4 } })
    const done = await node.done('s1', accepted.messageId)
    expect(done).toEqual({
      type: 'done',
      seq: 5,
      messageId: accepted.messageId,
      outcome: 'completed',
      chunks: 3,
      length: 11,
      sha256: sha256('Hello wörld'),
      finishReason: 'stop',
      usage: { inputTokens: 3, outputTokens: 4 },
    })
    const steps = await node.steps('s1')
    expect(steps.map(({ type }) => type)).toEqual(['started', 'chunk', 'chunk', 'chunk', 'done'])
    expect(steps.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5])
    await until(() => node.asks.activeCount() === 0)
    expect(await node.history('s1')).toMatchObject([
      { role: 'user', content: 'Hi\r\n there ', messageId: accepted.userMessageId },
      {
        role: 'assistant',
        content: 'Hello wörld',
        messageId: accepted.messageId,
        parentMessageId: accepted.userMessageId,
        outcome: 'completed',
        finishReason: 'stop',
      },
    ])
  })

  test('may be answered with nothing', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    ;(await node.model.call(messageId)).end()
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'completed', chunks: 0, length: 0, sha256: sha256('') })
  })

  test('is told to every viewer as it stands: its status, and each step once', async () => {
    await using node = asksNode()
    await node.sessions.open(ann, 's1')
    const heard: string[] = []
    const watch = await node.generations.watch('s1', (live) => {
      if (live.type === 'status') heard.push(live.status)
      if (live.type === 'steps') heard.push(...live.steps.map(({ type }) => type))
    })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.sink.status('thinking')
    call.sink.status('thinking')
    call.say('a')
    await until(() => heard.includes('chunk'))
    call.sink.status('tool')
    call.say('b')
    call.end()
    await node.done('s1', messageId)
    expect(heard.filter((what) => what !== 'tool' && what !== 'streaming')).toEqual([
      'started',
      'thinking',
      'chunk',
      'chunk',
      'done',
    ])
    expect(heard.filter((what) => what === 'tool' || what === 'streaming')).toEqual([
      'streaming',
      'tool',
      'streaming',
    ])
    watch.close()
  })
})

describe('an answer', () => {
  test('has emoji whole and nothing that is not text, wherever the model cut it', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('a\ud83d', '\udc4b b\0', '\ud83d')
    call.end()
    const done = await node.done('s1', messageId)
    const text = 'a👋 b\ufffd\ufffd'
    expect(done).toMatchObject({ length: text.length, sha256: sha256(text) })
    const chunks = (await node.steps('s1')).flatMap((step) =>
      step.type === 'chunk' ? [step.text] : [],
    )
    expect(chunks.join('')).toBe(text)
    expect(chunks.every((chunk) => chunk.isWellFormed())).toBe(true)
  })

  test('has parts when the model also reasons; length and hash are of the text alone', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.think('Let', ' me see')
    call.say('Yes', '.')
    call.end()
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ chunks: 4, length: 4, sha256: sha256('Yes.') })
    const chunks = (await node.steps('s1')).filter(({ type }) => type === 'chunk')
    expect(chunks).toMatchObject([
      { kind: 'reasoning', part: 0, chunkIndex: 0 },
      { kind: 'reasoning', part: 0, chunkIndex: 1 },
      { kind: 'text', part: 1, chunkIndex: 2 },
      { kind: 'text', part: 1, chunkIndex: 3 },
    ])
    expect((await node.history('s1')).at(-1)).toMatchObject({
      content: 'Yes.',
      parts: [
        { part: 0, kind: 'reasoning', text: 'Let me see' },
        { part: 1, kind: 'text', text: 'Yes.' },
      ],
    })
  })

  test('of exactly the limit completes, all kinds counted', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.think('é'.repeat(1_024))
    for (let i = 0; i < 255; i++) call.say('x'.repeat(2_048))
    call.end()
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'completed', length: 255 * 2_048, chunks: 256 })
  })

  test('one byte over the limit fails as too_large, stops the model and keeps what was shown', async () => {
    await using node = asksNode({ chat: { maxAnswerBytes: 1_000 } })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('x'.repeat(600), 'y'.repeat(400), 'z', 'more')
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'failed', length: 1_000, chunks: 2 })
    expect(done['error']).toMatchObject({ code: 'upstream_failed', errorType: 'too_large' })
    expect(call.signal.aborted).toBe(true)
  })

  test('in one huge delta is cut, and whole', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    const text = '👋🏽'.repeat(65_536)
    const call = await node.model.call(messageId)
    call.say(text)
    call.end()
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'completed', length: 262_144, sha256: sha256(text) })
  })
})

describe('a fault of the model', () => {
  const faults: ModelErrorType[] = ['rate_limit', 'timeout', 'connection', 'upstream', 'too_large']
  for (const errorType of faults) {
    test(`ends the answer failed, as ${errorType}, and keeps what was shown`, async () => {
      await using node = asksNode()
      const { messageId } = await node.asks.ask(ann, question)
      const call = await node.model.call(messageId)
      call.say('So far')
      call.fail(new ModelError(errorType, 'the upstream said: secret'))
      const done = await node.done('s1', messageId)
      expect(done).toMatchObject({ outcome: 'failed', chunks: 1, length: 6 })
      expect(done['error']).toMatchObject({ code: 'upstream_failed', errorType })
      const message = (await node.history('s1')).at(-1)
      expect(message).toMatchObject({ content: 'So far', outcome: 'failed' })
      expect(message?.error).toMatchObject({ code: 'upstream_failed', errorType })
      expect(JSON.stringify([done, message, await node.events()])).not.toContain('secret')
    })
  }

  test('of a kind that nobody expected is upstream', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    ;(await node.model.call(messageId)).fail(new TypeError('secret'))
    const done = await node.done('s1', messageId)
    expect(done['error']).toMatchObject({ errorType: 'upstream' })
  })

  test('that only lasts too long is a timeout, and the call is closed', async () => {
    await using node = asksNode({ chat: { generationTimeoutMs: 50 } })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('So far')
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'failed', chunks: 1 })
    expect(done['error']).toMatchObject({ code: 'upstream_failed', errorType: 'timeout' })
    expect(call.signal.aborted).toBe(true)
  })
})
