import { describe, expect, test } from 'bun:test'
import { ModelError } from '#gateway/models/model.ts'
import { type Answer, type TestGateway, testGateway } from '../support/gateway.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'

const sha256 = (text: string) => new Bun.CryptoHasher('sha256').update(text).digest('hex')

const nobody = '01890000-0000-7000-8000-000000000000'

interface Node extends TestGateway {
  model: ScriptedModel
  ask(body: object, headers?: Record<string, string>): Promise<Answer>
  finished(messageId: string): Promise<Answer>
}

/** A node whose model the test plays. */
function node(env: Record<string, string> = {}): Node {
  const model = new ScriptedModel()
  const gateway = testGateway({ model, env })
  return {
    ...gateway,
    model,
    ask: (body, headers = {}) => gateway.call('POST', '/api/chat', { body, headers }),
    async finished(messageId) {
      const find = async () => {
        const message = await gateway.call('GET', `/api/messages/${messageId}`)
        return message.body.status === 'finished' && message
      }
      return (await until(find)) as Answer
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  }
}

function isRefusal(answer: Answer, status: number, code: string, field?: string): void {
  expect({ status: answer.status, ...answer.body?.error }).toMatchObject({
    status,
    code,
    message: expect.any(String),
    temporary: expect.any(Boolean),
    ...(field !== undefined && { field }),
  })
}

describe('a question', () => {
  test('is accepted, answered, and told as it is made and when it is done', async () => {
    await using gateway = node()
    const accepted = await gateway.ask({ sessionId: 's', message: 'Why?', metadata: { from: 'a' } })
    expect(accepted.status).toBe(202)
    const { messageId, userMessageId } = accepted.body
    expect(accepted.body).toEqual({
      status: 'streaming',
      messageId,
      userMessageId,
      sessionId: 's',
      conversationId: 's',
      duplicate: false,
    })
    const call = await gateway.model.call(messageId)
    call.think('hm')
    call.say('Be', 'cause 🦆')
    const running = await until(async () => {
      const message = await gateway.call('GET', `/api/messages/${messageId}`)
      return message.body.chunks === 3 && message
    })
    expect((running as Answer).body).toMatchObject({
      messageId,
      userMessageId,
      sessionId: 's',
      status: 'streaming',
      text: 'Because 🦆',
      length: 10,
      sha256: sha256('Because 🦆'),
      parts: [
        { part: 0, kind: 'reasoning', text: 'hm' },
        { part: 1, kind: 'text', text: 'Because 🦆' },
      ],
    })
    call.end({ finishReason: 'stop', usage: { inputTokens: 3, outputTokens: 2 } })
    const { body } = await gateway.finished(messageId)
    expect(body).toMatchObject({
      outcome: 'completed',
      text: 'Because 🦆',
      chunks: 3,
      length: 10,
      sha256: sha256('Because 🦆'),
      finishReason: 'stop',
      usage: { inputTokens: 3, outputTokens: 2 },
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      finishedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    const history = await gateway.call('GET', '/api/history/s')
    expect(history.body).toMatchObject({
      sessionId: 's',
      count: 2,
      messages: [
        { messageId: userMessageId, role: 'user', content: 'Why?', metadata: { from: 'a' } },
        { messageId, role: 'assistant', content: 'Because 🦆', outcome: 'completed' },
      ],
    })
    expect(history.body.nextBefore).toBeUndefined()
  })

  test('without a session gets one of its own', async () => {
    await using gateway = node()
    const [one, two] = [await gateway.ask({ message: 'a' }), await gateway.ask({ message: 'b' })]
    expect(one.body.sessionId).toMatch(/^[0-9a-f-]{36}$/)
    expect(one.body.sessionId).not.toBe(two.body.sessionId)
  })

  test('may be written as the usage guide writes it', async () => {
    await using gateway = node()
    const { status, body } = await gateway.ask({
      session_id: 'test_session',
      user_id: 'demo_user',
      message: 'Hello Kafka!',
    })
    expect([status, body.sessionId, body.status]).toEqual([202, 'test_session', 'streaming'])
    const cancelled = await gateway.call('POST', '/api/cancel', {
      body: { message_id: body.messageId },
    })
    expect(cancelled.body).toEqual({ messageId: body.messageId, outcome: 'cancelled' })
  })

  test('is kept as it was written, but for what no text may hold', async () => {
    await using gateway = node()
    await gateway.call('POST', '/api/chat', {
      body: '{"sessionId":"s","message":"  a\\r\\nb\\u0000c\\ud83d  "}',
    })
    const { body } = await gateway.call('GET', '/api/history/s')
    expect(body.messages[0].content).toBe('  a\r\nb\u{FFFD}c\u{FFFD}  ')
  })

  test('is streamed from acceptance to done to whom accepts an event stream', async () => {
    await using gateway = node()
    const asked = gateway.ask(
      { sessionId: 's', message: 'Why?' },
      { accept: 'text/event-stream', 'idempotency-key': 'k1' },
    )
    const call = await until(() => gateway.model.calls[0])
    call?.say('Because')
    call?.end()
    const { status, headers, text } = await asked
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    const types = [...text.matchAll(/^event: (.*)$/gm)].map((match) => match[1])
    expect(types.filter((type) => type !== 'status')).toEqual([
      'accepted',
      'started',
      'chunk',
      'done',
    ])
  })
})

describe('a question is refused', () => {
  const wrong: Record<string, [body: unknown, field?: string]> = {
    'that is no JSON': ['{"message":'],
    'that is no object': ['["message"]'],
    'that is nothing': [''],
    'without a message': [{ sessionId: 's' }, 'message'],
    'with a blank message': [{ message: ' \r\n\t ' }, 'message'],
    'with an empty message': [{ message: '' }, 'message'],
    'with a message that is no text': [{ message: 7 }, 'message'],
    'with a sessionId that is none': [{ message: 'a', sessionId: 'a b' }, 'sessionId'],
    'with an empty sessionId': [{ message: 'a', sessionId: '' }, 'sessionId'],
    'with a sessionId that is too long': [
      { message: 'a', sessionId: 's'.repeat(129) },
      'sessionId',
    ],
    'with a sessionId that is no text': [{ message: 'a', session_id: 7 }, 'sessionId'],
    'with a userId that is none': [{ message: 'a', userId: 'a b' }, 'userId'],
    'with options that are none': [{ message: 'a', options: 'hot' }, 'options'],
    'with a model that is not offered': [
      { message: 'a', options: { model: 'x' } },
      'options.model',
    ],
    'with a model that is no text': [{ message: 'a', options: { model: 1 } }, 'options.model'],
    'with a system prompt': [{ message: 'a', options: { system: 'x' } }, 'options.system'],
    'with a temperature below 0': [
      { message: 'a', options: { temperature: -0.1 } },
      'options.temperature',
    ],
    'with a temperature above 2': [
      { message: 'a', options: { temperature: 2.1 } },
      'options.temperature',
    ],
    'with no tokens': [{ message: 'a', options: { maxTokens: 0 } }, 'options.maxTokens'],
    'with half a token': [{ message: 'a', options: { maxTokens: 1.5 } }, 'options.maxTokens'],
    'with metadata that is no object': [{ message: 'a', metadata: [1] }, 'metadata'],
    'with more than 4 KiB of metadata': [
      { message: 'a', metadata: { note: 'x'.repeat(4_096) } },
      'metadata',
    ],
    'with regenerate that is no text': [{ message: 'a', regenerate: 7 }, 'regenerate'],
    'with attachments': [{ message: 'a', attachments: [] }, 'attachments'],
  }
  test('when its body is wrong, naming the field', async () => {
    await using gateway = node()
    for (const [, [body, field]] of Object.entries(wrong)) {
      isRefusal(await gateway.call('POST', '/api/chat', { body }), 400, 'invalid_request', field)
    }
    expect(gateway.model.calls).toHaveLength(0)
  })

  test('when its key is none', async () => {
    await using gateway = node()
    const refused = await gateway.ask({ message: 'a' }, { 'idempotency-key': 'k'.repeat(129) })
    isRefusal(refused, 400, 'invalid_request', 'Idempotency-Key')
  })

  test('when it is too large, its text or its body', async () => {
    await using gateway = node({ MAX_CONTENT_BYTES: '10' })
    expect((await gateway.ask({ message: 'ä'.repeat(5) })).status).toBe(202)
    isRefusal(await gateway.ask({ message: 'ä'.repeat(6) }), 413, 'too_large', 'message')
    isRefusal(await gateway.ask({ message: 'x'.repeat(300_000) }), 413, 'too_large')
    const unsized = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(0x20)),
    })
    const streamed = await fetch(`${gateway.url}/api/chat`, { method: 'POST', body: unsized })
    expect(streamed.status).toBe(413)
  })

  test('while the session has an answer in the making, naming it', async () => {
    await using gateway = node()
    const first = await gateway.ask({ sessionId: 's', message: 'a' })
    const second = await gateway.ask({ sessionId: 's', message: 'b' })
    isRefusal(second, 409, 'generation_in_progress')
    expect(second.body.error).toMatchObject({ messageId: first.body.messageId, temporary: true })
    await gateway.call('POST', '/api/cancel', { body: { messageId: first.body.messageId } })
    expect((await gateway.ask({ sessionId: 's', message: 'b' })).status).toBe(202)
  })

  test('in a session of another', async () => {
    await using gateway = node()
    await gateway.ask({ sessionId: 's', userId: 'ann', message: 'mine' })
    const { status, body, text } = await gateway.ask({
      sessionId: 's',
      userId: 'bob',
      message: 'also mine',
    })
    expect([status, body.error.code]).toEqual([403, 'forbidden'])
    expect(text).not.toContain('ann')
  })

  test('to be answered anew, when that is no answer of the session', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', message: 'a' })
    await gateway.call('POST', '/api/cancel', { body: { messageId: body.messageId } })
    for (const regenerate of [nobody, body.userMessageId, 'x']) {
      isRefusal(await gateway.ask({ sessionId: 's', regenerate }), 404, 'not_found')
    }
    isRefusal(
      await gateway.ask({ sessionId: 'other', regenerate: body.messageId }),
      404,
      'not_found',
    )
  })
})

describe('a key', () => {
  test('that is known answers with the first ids, before any other check', async () => {
    await using gateway = node()
    const key = { 'idempotency-key': 'k1' }
    const first = await gateway.ask({ sessionId: 's', message: 'a' }, key)
    const again = await gateway.ask({ sessionId: 's', message: 'a' }, key)
    expect([again.status, again.body]).toEqual([202, { ...first.body, duplicate: true }])
    expect(gateway.model.calls).toHaveLength(1)
  })

  test('with other content is a conflict', async () => {
    await using gateway = node()
    const key = { 'idempotency-key': 'k1' }
    await gateway.ask({ sessionId: 's', message: 'a' }, key)
    const conflict = await gateway.ask({ sessionId: 's', message: 'b' }, key)
    isRefusal(conflict, 409, 'idempotency_conflict')
    expect(conflict.body.error.temporary).toBe(false)
  })

  test('is of one session and user', async () => {
    await using gateway = node()
    const key = { 'idempotency-key': 'k1' }
    for (const body of [
      { sessionId: 's', userId: 'ann' },
      { sessionId: 't', userId: 'ann' },
      { sessionId: 'u', userId: 'bob' },
    ]) {
      const asked = await gateway.ask({ ...body, message: body.sessionId }, key)
      expect([asked.status, asked.body.duplicate]).toEqual([202, false])
    }
  })
})

describe('a cancel', () => {
  test('tells the outcome that stands, however often', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', message: 'a' })
    const { messageId } = body
    const call = await gateway.model.call(messageId)
    call.say('half')
    for (let time = 0; time < 3; time += 1) {
      const cancelled = await gateway.call('POST', '/api/cancel', { body: { messageId } })
      expect([cancelled.status, cancelled.body]).toEqual([200, { messageId, outcome: 'cancelled' }])
    }
    expect(call.signal.aborted).toBe(true)
    const { body: message } = await gateway.finished(messageId)
    expect(message).toMatchObject({ outcome: 'cancelled', text: 'half' })
  })

  test('of a finished answer changes nothing', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', message: 'a' })
    const { messageId } = body
    ;(await gateway.model.call(messageId)).end()
    await gateway.finished(messageId)
    const cancelled = await gateway.call('POST', '/api/cancel', { body: { messageId } })
    expect(cancelled.body).toEqual({ messageId, outcome: 'completed' })
  })

  test('is refused for what is no answer, or not one’s own', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', userId: 'ann', message: 'a' })
    const cancel = (fields: object) => gateway.call('POST', '/api/cancel', { body: fields })
    isRefusal(await cancel({}), 400, 'invalid_request', 'messageId')
    isRefusal(await cancel({ messageId: 7 }), 400, 'invalid_request', 'messageId')
    isRefusal(await cancel({ messageId: 'x' }), 404, 'not_found')
    isRefusal(await cancel({ messageId: nobody }), 404, 'not_found')
    isRefusal(await cancel({ messageId: body.userMessageId, userId: 'ann' }), 404, 'not_found')
    isRefusal(await cancel({ messageId: body.messageId, userId: 'bob' }), 403, 'forbidden')
  })
})

describe('a message', () => {
  test('that failed tells why, without the words of the model’s server', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', message: 'a' })
    const call = await gateway.model.call(body.messageId)
    call.say('so far')
    call.fail(new ModelError('upstream', 'the secret words of a server'))
    const { body: message, text } = await gateway.finished(body.messageId)
    expect(message).toMatchObject({
      outcome: 'failed',
      text: 'so far',
      error: { code: 'upstream_failed', errorType: 'upstream' },
    })
    expect(text).not.toContain('secret')
  })

  test('is its user’s alone', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', userId: 'ann', message: 'a' })
    const get = (path: string) => gateway.call('GET', path)
    for (const path of [`/api/messages/${body.messageId}`, '/api/history/s']) {
      isRefusal(await get(`${path}?userId=bob`), 403, 'forbidden')
      expect((await get(`${path}?userId=ann`)).status).toBe(200)
    }
    isRefusal(await get(`/api/messages/${body.userMessageId}?userId=ann`), 404, 'not_found')
    for (const id of [nobody, 'x', '%00', '..%2f..']) {
      isRefusal(await get(`/api/messages/${id}`), 404, 'not_found')
    }
  })

  test('that was erased is gone, and so is its history', async () => {
    await using gateway = node()
    const { body } = await gateway.ask({ sessionId: 's', message: 'a' })
    ;(await gateway.model.call(body.messageId)).say('half')
    const erased = await gateway.call('DELETE', '/api/history/s')
    expect([erased.status, erased.body]).toEqual([
      202,
      { sessionId: 's', cursor: expect.stringMatching(/^\d+-\d+$/) },
    ])
    isRefusal(await gateway.call('GET', `/api/messages/${body.messageId}`), 410, 'gone')
    const history = await gateway.call('GET', '/api/history/s')
    expect(history.body).toEqual({ sessionId: 's', messages: [], count: 0 })
    expect((await gateway.ask({ sessionId: 's', message: 'again' })).status).toBe(202)
  })

  test('can be erased by nobody else, and not where there is none', async () => {
    await using gateway = node()
    await gateway.ask({ sessionId: 's', userId: 'ann', message: 'a' })
    isRefusal(await gateway.call('DELETE', '/api/history/s?userId=bob'), 403, 'forbidden')
    isRefusal(await gateway.call('DELETE', '/api/history/nobodys'), 404, 'not_found')
    isRefusal(await gateway.call('GET', '/api/history/nobodys'), 404, 'not_found')
    isRefusal(await gateway.call('GET', '/api/history/a%20b'), 400, 'invalid_request', 'sessionId')
  })
})
