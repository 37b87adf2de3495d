import { describe, expect, test } from 'bun:test'
import type { Event } from '#events/event.ts'
import { ModelError } from '#gateway/models/model.ts'
import { timeOfUuid } from '#runtime/ids.ts'
import { type AsksNode, ann, asksNode } from '../support/asks-node.ts'
import { until } from '../support/until.ts'

const question = { sessionId: 's1', content: 'How are you?', requestId: 'r1' }
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

/** By `seq`; events of one step in the order that the contract names them. */
async function eventsOf(node: AsksNode, sessionId = 's1'): Promise<Event[]> {
  const order = [
    'SESSION_STARTED',
    'CHAT_MESSAGE',
    'STREAM_STARTED',
    'CHUNK_RECEIVED',
    'STREAM_COMPLETED',
    'STREAM_CANCELLED',
    'STREAM_ERROR',
  ]
  const seqOf = (event: Event) => ('seq' in event ? Number(event.seq) : 0)
  const all = (await node.events()).filter((event) => event.sessionId === sessionId)
  return all.sort(
    (a, b) => seqOf(a) - seqOf(b) || order.indexOf(a.eventType) - order.indexOf(b.eventType),
  )
}

/** Every step of the session is told by an event: no `seq` is missing. */
function expectDense(events: Event[]): void {
  let next = 1
  for (const event of events) {
    if (!('seq' in event)) continue
    const from = event.eventType === 'CHUNK_RECEIVED' ? event.fromSeq : event.seq
    expect(from).toBeLessThanOrEqual(next)
    next = Math.max(next, Number(event.seq) + 1)
  }
}

const runsOf = (events: Event[]) => events.filter((event) => event.eventType === 'CHUNK_RECEIVED')

describe('the events of an answer', () => {
  test('are those of the contract, complete in themselves, in one order with its steps', async () => {
    await using node = asksNode()
    const asked = { ...question, metadata: { k: 'v' }, traceparent }
    const { messageId, userMessageId } = await node.asks.ask(ann, asked)
    const call = await node.model.call(messageId)
    await Bun.sleep(5)
    call.say('Fine', ', thank', ' you.')
    call.end({ usage: { inputTokens: 1, outputTokens: 2 } })
    const done = await node.done('s1', messageId)
    const events = await eventsOf(node)
    expect(events.map(({ eventType }) => eventType)).toEqual([
      'SESSION_STARTED',
      'CHAT_MESSAGE',
      'STREAM_STARTED',
      'CHUNK_RECEIVED',
      'CHAT_MESSAGE',
      'STREAM_COMPLETED',
    ])
    const seqs = events.map((event) => ('seq' in event ? event.seq : null))
    expect(seqs).toEqual([1, 1, 1, 4, 5, 5])
    expect(done.seq).toBe(5)
    expectDense(events)
    for (const event of events) {
      expect(event).toMatchObject({
        schemaVersion: 1,
        tenantId: 'acme',
        userId: 'ann',
        sessionId: 's1',
        conversationId: 's1',
        nodeId: 'node-1',
      })
      expect(timeOfUuid(event.eventId)).toBe(Date.parse(event.timestamp))
    }
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(events.length)
    const [, asks, started, run, answers, completed] = events
    expect(asks).toMatchObject({
      messageId: userMessageId,
      role: 'user',
      status: 'completed',
      content: 'How are you?',
      contentLength: 12,
      metadata: { k: 'v' },
    })
    expect(started).toMatchObject({ messageId, userMessageId, model: 'demo', requestId: 'r1' })
    expect(run).toMatchObject({
      messageId,
      fromSeq: 2,
      fromChunkIndex: 0,
      chunkIndex: 2,
      contentLength: 16,
      text: 'Fine, thank you.',
    })
    expect(answers).toMatchObject({
      messageId,
      role: 'assistant',
      status: 'completed',
      content: 'Fine, thank you.',
      contentLength: 16,
      parentMessageId: userMessageId,
      model: 'demo',
      totalChunks: 3,
      finishReason: 'stop',
      usage: { inputTokens: 1, outputTokens: 2 },
    })
    expect(answers).not.toHaveProperty('parts')
    expect(completed).toMatchObject({
      messageId,
      totalChunks: 3,
      contentLength: 16,
      wordCount: 3,
      chunkSizes: [0, 0, 3],
      model: 'demo',
      finishReason: 'stop',
      usage: { inputTokens: 1, outputTokens: 2 },
    })
    if (completed?.eventType !== 'STREAM_COMPLETED') throw new Error('no STREAM_COMPLETED')
    expect(completed.timeToFirstChunkMs).toBeGreaterThanOrEqual(4)
    expect(completed.durationMs).toBeGreaterThanOrEqual(completed.timeToFirstChunkMs ?? 0)
  })

  test('begin with SESSION_STARTED only once in a session', async () => {
    await using node = asksNode()
    for (const content of ['one', 'two']) {
      const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content })
      ;(await node.model.call(messageId)).end()
      await node.done('s1', messageId)
    }
    const events = await eventsOf(node)
    const started = events.filter(({ eventType }) => eventType === 'SESSION_STARTED')
    expect(started).toHaveLength(1)
    expectDense(events)
  })

  test('of a failed one are STREAM_ERROR and the text so far', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.think('hm')
    call.say('So')
    call.fail(new ModelError('connection', 'cut'))
    await node.done('s1', messageId)
    const events = await eventsOf(node)
    expectDense(events)
    expect(events.at(-1)).toMatchObject({
      eventType: 'STREAM_ERROR',
      errorType: 'connection',
      outcome: 'failed',
      error: expect.any(String),
      totalChunks: 2,
      contentLength: 2,
    })
    expect(events.at(-2)).toMatchObject({
      status: 'failed',
      error: { code: 'upstream_failed', errorType: 'connection', message: expect.any(String) },
      content: 'So',
      parts: [
        { part: 0, kind: 'reasoning', text: 'hm' },
        { part: 1, kind: 'text', text: 'So' },
      ],
    })
  })

  test('of a cancelled one are STREAM_CANCELLED with the reason, and the text so far', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('So', ' far')
    await node.asks.cancel(ann, messageId)
    const events = await eventsOf(node)
    expectDense(events)
    const [message, cancelled] = events.slice(-2)
    expect(cancelled).toMatchObject({
      eventType: 'STREAM_CANCELLED',
      reason: 'user',
      totalChunks: 2,
      wordCount: 2,
    })
    expect(message).toMatchObject({ status: 'cancelled', content: 'So far' })
  })

  test('hold no text with EVENT_CONTENT=none, and lengths all the same', async () => {
    await using node = asksNode({ chat: { eventContent: 'none' } })
    const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content: 'a secret' })
    const call = await node.model.call(messageId)
    call.think('a secret')
    call.say('the secret')
    call.end()
    await node.done('s1', messageId)
    const events = await eventsOf(node)
    expect(JSON.stringify(events)).not.toContain('secret')
    expectDense(events)
    expect(events.filter((event) => 'contentLength' in event)).toMatchObject([
      { contentLength: 8 },
      { contentLength: 8 },
      { contentLength: 10 },
      { contentLength: 10 },
      { contentLength: 10 },
    ])
    expect((await node.history('s1')).at(-1)?.content).toBe('the secret')
  })
})

describe('chunk events', () => {
  test('tell every chunk by itself when CHUNK_EVENT_MS is 0', async () => {
    await using node = asksNode({ chat: { chunkEventMs: 0 } })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('a', 'b')
    await until(async () => runsOf(await eventsOf(node)).length === 2)
    call.say('c')
    call.end()
    await node.done('s1', messageId)
    const events = await eventsOf(node)
    expectDense(events)
    expect(runsOf(events)).toMatchObject([
      { fromSeq: 2, seq: 2, fromChunkIndex: 0, chunkIndex: 0, text: 'a' },
      { fromSeq: 3, seq: 3, fromChunkIndex: 1, chunkIndex: 1, text: 'b' },
      { fromSeq: 4, seq: 4, fromChunkIndex: 2, chunkIndex: 2, text: 'c' },
    ])
  })

  test('tell a run once a chunk comes past its time, while the answer goes on', async () => {
    await using node = asksNode({ chat: { chunkEventMs: 40 } })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('a', 'b')
    await Bun.sleep(45)
    call.say('c')
    await until(async () => runsOf(await eventsOf(node)).length > 0)
    expect(runsOf(await eventsOf(node))[0]).toMatchObject({ fromSeq: 2, seq: 3, text: 'ab' })
    call.end()
    await node.done('s1', messageId)
    const events = await eventsOf(node)
    expectDense(events)
    expect(runsOf(events)).toHaveLength(2)
  })

  test('tell a run once its time is over, when the model pauses too', async () => {
    await using node = asksNode({ chat: { chunkEventMs: 40 } })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    call.say('a', 'b')
    await until(async () => runsOf(await eventsOf(node)).length === 1)
    call.say('c')
    call.end()
    await node.done('s1', messageId)
    const events = await eventsOf(node)
    expectDense(events)
    expect(runsOf(events)).toMatchObject([
      { fromSeq: 2, seq: 3, text: 'ab' },
      { fromSeq: 4, seq: 4, text: 'c' },
    ])
  })

  test('tell a run before it is longer than 16 KiB', async () => {
    await using node = asksNode({ chat: { chunkEventMs: 60_000 } })
    const { messageId } = await node.asks.ask(ann, question)
    const call = await node.model.call(messageId)
    for (let i = 0; i < 20; i++) call.say('x'.repeat(3_000))
    call.end()
    await node.done('s1', messageId)
    const events = await eventsOf(node)
    expectDense(events)
    expect(runsOf(events).map((event) => 'text' in event && event['text'])).toEqual(
      Array.from({ length: 4 }, () => 'x'.repeat(15_000)),
    )
  })
})
