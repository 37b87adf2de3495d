import { describe, expect, test } from 'bun:test'
import type { ModelError, ModelMessage, ModelRequest, ModelSink } from '#gateway/models/model.ts'
import { type OpenAiOptions, openaiModel } from '#gateway/models/openai.ts'
import { answering, ScriptedUpstream, type UpstreamScript } from '../support/scripted-upstream.ts'
import { until } from '../support/until.ts'

interface Heard extends ModelSink {
  text: string
  reasoning: string
  deltas: string[]
  statuses: string[]
}

function listener(onDelta: () => void = () => undefined): Heard {
  const heard: Heard = {
    text: '',
    reasoning: '',
    deltas: [],
    statuses: [],
    delta(kind, text) {
      heard[kind] += text
      heard.deltas.push(`${kind}: ${text}`)
      onDelta()
    },
    status: (status) => heard.statuses.push(status),
  }
  return heard
}

const messages: ModelMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Why is the sky blue? 🌌' },
]
const question: ModelRequest = { messageId: 'm1', model: 'test-model', messages }
const never = new AbortController().signal

function modelOf(upstream: { baseUrl: string }, options: Partial<OpenAiOptions> = {}) {
  return openaiModel({
    baseUrl: upstream.baseUrl,
    apiKey: null,
    idleMs: 5000,
    backOffMs: 1,
    ...options,
  })
}

/** What comes of one question to an upstream that follows the scripts. */
async function ask(
  scripts: UpstreamScript[],
  options: Partial<OpenAiOptions> = {},
  heard = listener(),
) {
  await using upstream = await ScriptedUpstream.start(...scripts)
  const outcome = await modelOf(upstream, options)
    .stream(question, heard, never)
    .then(
      (end) => ({ end, error: null }),
      (error: ModelError) => ({ end: null, error }),
    )
  return { ...outcome, heard, calls: upstream.calls }
}

describe('the call', () => {
  test('is a streamed chat completion with usage, the key and the trace', async () => {
    await using upstream = await ScriptedUpstream.start(answering('Hi'))
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const request = { ...question, temperature: 0.5, maxTokens: 9, traceparent }
    await modelOf(upstream, { apiKey: 'sk-1' }).stream(request, listener(), never)
    const { method, path, headers, body } = upstream.last
    expect(`${method} ${path}`).toBe('POST /v1/chat/completions')
    expect(headers['authorization']).toBe('Bearer sk-1')
    expect(headers['traceparent']).toBe(traceparent)
    expect(body).toEqual({
      model: 'test-model',
      messages,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.5,
      max_tokens: 9,
    })
  })

  test('leaves out what was not asked for, and the key when there is none', async () => {
    const { calls } = await ask([answering('Hi')])
    expect(Object.keys(calls[0]?.body)).toEqual(['model', 'messages', 'stream', 'stream_options'])
    expect(calls[0]?.headers).not.toHaveProperty('authorization')
    expect(calls[0]?.headers).not.toHaveProperty('traceparent')
  })

  test('takes a base with a slash at its end', async () => {
    await using upstream = await ScriptedUpstream.start(answering('Hi'))
    await modelOf({ baseUrl: `${upstream.baseUrl}/` }).stream(question, listener(), never)
    expect(upstream.last.path).toBe('/v1/chat/completions')
  })
})

describe('an answer', () => {
  test('comes delta by delta, with its reason and usage', async () => {
    const { end, heard } = await ask([
      (call) => {
        call.head()
        call.delta({ role: 'assistant', content: '' })
        call.say('Hello ')
        call.say('wörld 👋🏽')
        call.finish('length')
        call.usage({
          prompt_tokens: 12,
          completion_tokens: 34,
          total_tokens: 46,
          prompt_tokens_details: { cached_tokens: 5 },
          completion_tokens_details: { reasoning_tokens: 6 },
        })
        call.done()
      },
    ])
    expect(heard.deltas).toEqual(['text: Hello ', 'text: wörld 👋🏽'])
    expect(heard.statuses).toEqual(['thinking'])
    expect(end).toEqual({
      finishReason: 'length',
      usage: { inputTokens: 12, outputTokens: 34, reasoningTokens: 6, cachedInputTokens: 5 },
    })
  })

  test('may do without usage and without [DONE]', async () => {
    const { end, heard } = await ask([
      (call) => {
        call.head()
        call.say('Hi')
        call.finish()
        call.end()
      },
    ])
    expect(heard.text).toBe('Hi')
    expect(end).toEqual({ finishReason: 'stop' })
  })

  test('may be split at any byte and have CR LF, comments and spaces left out', async () => {
    const { heard, end } = await ask([
      async (call) => {
        call.head()
        const body =
          ': PROCESSING\r\n\r\nid: 1\r\ndata:{"choices":[{"delta":{"content":"aé👋"}}]}\r\n\r\n' +
          'data: {"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}]}\r\n\r\ndata: [DONE]\r\n\r\n'
        for (const byte of Buffer.from(body)) {
          call.raw(Uint8Array.of(byte))
          await Bun.sleep(0)
        }
        call.end()
      },
    ])
    expect(heard.deltas).toEqual(['text: aé👋', 'text: b'])
    expect(end?.finishReason).toBe('stop')
  })

  test('has its reasoning once, by whichever name it comes', async () => {
    const { heard } = await ask([
      (call) => {
        call.head()
        call.delta({ reasoning_content: 'one ', reasoning: 'one ' })
        call.delta({ reasoning: 'two ' })
        call.delta({ reasoning_content: 'three', content: null })
        call.delta({ content: 'So.' })
        call.finish()
        call.done()
      },
    ])
    expect(heard.reasoning).toBe('one two three')
    expect(heard.text).toBe('So.')
  })

  test('of the first choice alone is heard', async () => {
    const { heard } = await ask([
      (call) => {
        call.head()
        call.event({ choices: [{ index: 1, delta: { content: 'other' } }] })
        call.event({ choices: [{ index: 0, delta: { content: 'first' }, finish_reason: 'stop' }] })
        call.done()
      },
    ])
    expect(heard.text).toBe('first')
  })
})

describe('a fault', () => {
  /** What happens once the first words were heard: bytes that stand unread when a connection breaks are lost. */
  const midway = (then: UpstreamScript, options: Partial<OpenAiOptions> = {}) => {
    const heard = listener()
    const script: UpstreamScript = async (call) => {
      call.head()
      call.say('So far')
      await until(() => heard.text !== '', { what: 'the words are heard' })
      await then(call)
    }
    return ask([script, answering('never asked for')], options, heard)
  }

  test.each<[string, string, UpstreamScript]>([
    ['an error in the stream', 'upstream', (call) => call.event({ error: { message: 'busy' } })],
    ['an event of that name', 'upstream', (call) => call.raw('event: error\ndata: {"a":1}\n\n')],
    ['bad JSON', 'upstream', (call) => call.raw('data: {"choices":["a secret\n\n')],
    ['JSON that is no object', 'upstream', (call) => call.raw('data: ["a secret"]\n\n')],
    ['an end without finish_reason', 'upstream', (call) => call.end()],
    ['[DONE] without finish_reason', 'upstream', (call) => call.done()],
    ['a cut', 'connection', (call) => call.cut()],
  ])('by %s is told, and what was said stays said', async (_name, errorType, then) => {
    const { error, heard, calls } = await midway(then)
    expect(error).toMatchObject({ name: 'ModelError', errorType })
    // It goes to the log, where nothing that was said belongs.
    expect(Bun.inspect(error)).not.toContain('a secret')
    expect(heard.text).toBe('So far')
    expect(calls).toHaveLength(1)
  })

  test('by silence is a timeout, after bytes or before the first', async () => {
    const midwaySilent = await midway(() => undefined, { idleMs: 1_000 })
    expect(midwaySilent.error).toMatchObject({ errorType: 'timeout' })
    expect(midwaySilent.heard.text).toBe('So far')
    // Long enough for the call to get there.
    const silent = await ask([() => undefined], { idleMs: 1_000 })
    expect(silent.error).toMatchObject({ errorType: 'timeout' })
    expect(silent.calls).toHaveLength(1)
  })

  test('is not seen in a slow upstream that gives signs of life', async () => {
    const { error, heard } = await midway(
      async (call) => {
        for (let times = 0; times < 12; times += 1) {
          await Bun.sleep(60)
          call.raw(': still here\n\n')
        }
        call.finish()
        call.done()
      },
      { idleMs: 500 },
    )
    expect(error).toBeNull()
    expect(heard.text).toBe('So far')
  })

  test('of a whole answer that is cut after its reason is not taken for a clean end', async () => {
    const { error } = await midway(async (call) => {
      call.finish()
      await Bun.sleep(50)
      call.cut()
    })
    expect(error).toMatchObject({ errorType: 'connection' })
  })

  test.each([400, 401, 404, 422])('HTTP %i is not tried again', async (status) => {
    const { error, calls } = await ask([(call) => call.reply(status, '{"error":{"message":"no"}}')])
    expect(error).toMatchObject({ name: 'ModelError', errorType: 'upstream' })
    expect(calls).toHaveLength(1)
  })

  test.each([
    [429, 'rate_limit'],
    [500, 'upstream'],
    [503, 'upstream'],
  ])('HTTP %i is tried twice more, then it is %s', async (status, errorType) => {
    const { error, calls } = await ask([(call) => call.reply(status, 'no')])
    expect(error).toMatchObject({ errorType })
    expect(calls).toHaveLength(3)
  })
})

describe('a repeat', () => {
  test.each<[string, UpstreamScript]>([
    ['a refusal', (call) => call.reply(503, 'no')],
    ['a limit', (call) => call.reply(429, 'no')],
    ['a cut before the head', (call) => call.cut()],
    [
      'a cut before the first token',
      (call) => {
        call.head()
        call.delta({ role: 'assistant', content: '' })
        call.cut()
      },
    ],
  ])('after %s gives the answer as if nothing had been', async (_name, script) => {
    const { end, heard, calls } = await ask([script, script, answering('Hi')])
    expect(end?.finishReason).toBe('stop')
    expect(heard.deltas).toEqual(['text: Hi'])
    expect(calls).toHaveLength(3)
  })

  test('waits as long as Retry-After says', async () => {
    const startedAt = performance.now()
    const { end } = await ask([
      (call) => call.reply(429, 'no', { 'retry-after': '1' }),
      answering('Hi'),
    ])
    expect(end).not.toBeNull()
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(1000)
  })

  test.each([
    ['seconds', () => '3600'],
    ['a date', () => new Date(Date.now() + 3_600_000).toUTCString()],
  ])(
    'is not made when Retry-After asks, in %s, for more patience than a reader has',
    async (_form, wanted) => {
      const refusal: UpstreamScript = (call) => call.reply(429, 'no', { 'retry-after': wanted() })
      const { error, calls } = await ask([refusal])
      expect(error).toMatchObject({ errorType: 'rate_limit' })
      expect(calls).toHaveLength(1)
    },
  )

  test('of a call to a port where nobody listens ends as a fault of the connection', async () => {
    const model = modelOf({ baseUrl: 'http://127.0.0.1:1/v1' })
    const failed = model.stream(question, listener(), never)
    await expect(failed).rejects.toMatchObject({ name: 'ModelError', errorType: 'connection' })
  })
})

describe('an abort', () => {
  const reason = new Error('the reader has gone')

  test.each<[string, UpstreamScript]>([
    ['before the head', () => undefined],
    ['before the first token', (call) => call.head()],
    [
      'in the middle',
      (call) => {
        call.head()
        call.say('one')
      },
    ],
  ])('%s rejects with its reason and closes the call', async (_name, script) => {
    await using upstream = await ScriptedUpstream.start(script)
    const abort = new AbortController()
    const heard = listener()
    const failed = modelOf(upstream).stream(question, heard, abort.signal)
    failed.catch(() => undefined)
    await until(() => upstream.calls.length === 1, { what: 'the call has come' })
    if (_name === 'in the middle') await until(() => heard.text === 'one', { what: 'a token' })
    abort.abort(reason)
    await expect(failed).rejects.toBe(reason)
    await until(() => !upstream.last.isOpen, { what: 'the call is closed' })
  })

  test('by the listener itself is followed by no further delta', async () => {
    await using upstream = await ScriptedUpstream.start((call) => {
      call.head()
      const delta = (text: string) => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`
      call.raw(delta('one') + delta('two') + delta('three'))
    })
    const abort = new AbortController()
    const heard = listener(() => abort.abort(reason))
    await expect(modelOf(upstream).stream(question, heard, abort.signal)).rejects.toBe(reason)
    expect(heard.deltas).toEqual(['text: one'])
  })

  test('ends the pause before a repeat', async () => {
    await using upstream = await ScriptedUpstream.start((call) =>
      call.reply(429, 'no', { 'retry-after': '20' }),
    )
    const abort = new AbortController()
    const failed = modelOf(upstream).stream(question, listener(), abort.signal)
    failed.catch(() => undefined)
    await until(() => upstream.calls.length === 1, { what: 'the call has come' })
    abort.abort(reason)
    await expect(failed).rejects.toBe(reason)
  })

  test('before the call makes none', async () => {
    await using upstream = await ScriptedUpstream.start(answering('Hi'))
    const aborted = AbortSignal.abort(reason)
    await expect(modelOf(upstream).stream(question, listener(), aborted)).rejects.toBe(reason)
    expect(upstream.calls).toHaveLength(0)
  })
})
