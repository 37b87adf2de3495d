import { expect, test } from 'bun:test'
import { type DemoOptions, demoModel } from '#gateway/models/demo.ts'
import type { ModelSink } from '#gateway/models/model.ts'
import { until } from '../support/until.ts'

const never = new AbortController().signal

function listener(): ModelSink & { text: string; reasoning: string; deltas: number } {
  const heard = {
    text: '',
    reasoning: '',
    deltas: 0,
    delta(kind: 'text' | 'reasoning', text: string) {
      heard[kind] += text
      heard.deltas += 1
    },
    status: () => undefined,
  }
  return heard
}

const request = (content: string, rest: { maxTokens?: number } = {}) => ({
  messageId: 'm',
  model: 'demo',
  messages: [{ role: 'user' as const, content }],
  ...rest,
})

const atOnce: DemoOptions = { tokensPerSecond: 0, firstTokenMs: 0 }

async function ask(
  content: string,
  options: DemoOptions = atOnce,
  rest: { maxTokens?: number } = {},
) {
  const heard = listener()
  const end = await demoModel(options).stream(request(content, rest), heard, never)
  return { ...heard, end }
}

test('the same question has the same answer, another one or another seed has another', async () => {
  const first = await ask('Why is the sky blue?')
  expect((await ask('Why is the sky blue?')).text).toBe(first.text)
  expect((await ask('Why is grass green?')).text).not.toBe(first.text)
  expect((await ask('Why is the sky blue?', { ...atOnce, seed: 'b' })).text).not.toBe(first.text)
})

test('an answer is Markdown with a heading, a list, code and a table, in many deltas', async () => {
  const { text, deltas, end } = await ask('Why is the sky blue?')
  expect(text).toMatch(/^## /)
  expect(text).toMatch(/^(-|1\.) /m)
  expect(text).toMatch(/^```\w+$[\s\S]+^```$/m)
  expect(text).toMatch(/^\| --- \|/m)
  expect(deltas).toBeGreaterThan(100)
  expect(end).toMatchObject({ finishReason: 'stop', usage: { outputTokens: deltas } })
  expect(end.usage?.inputTokens).toBeGreaterThan(0)
})

test('an answer is as long as maxTokens allows', async () => {
  const { deltas, end } = await ask('Why?', atOnce, { maxTokens: 7 })
  expect(deltas).toBe(7)
  expect(end.finishReason).toBe('length')
})

test('/long says as much as it is told to', async () => {
  const { deltas, end } = await ask('Tell me all /long 5000')
  expect(deltas).toBe(5000)
  expect(end.finishReason).toBe('stop')
})

test('/echo gives back what was asked, to the letter', async () => {
  const { text } = await ask('/echo a  b\n\té 👋🏽 <script> ```x')
  expect(text).toBe('a  b\n\té 👋🏽 <script> ```x')
})

test('/reasoning thinks before it speaks', async () => {
  const { reasoning, text, end, deltas } = await ask('/reasoning Why?')
  expect(reasoning).not.toBe('')
  expect(text).not.toBe('')
  const { outputTokens, reasoningTokens } = end.usage ?? {}
  expect(outputTokens).toBe(deltas)
  expect(reasoningTokens).toBeGreaterThan(10)
})

test.each(['rate_limit', 'timeout', 'connection', 'upstream'] as const)(
  '/error %s fails after some words',
  async (errorType) => {
    const heard = listener()
    const failed = demoModel(atOnce).stream(request(`Why? /error ${errorType} 5`), heard, never)
    await expect(failed).rejects.toMatchObject({ name: 'ModelError', errorType })
    expect(heard.deltas).toBe(5)
  },
)

test('a model with a fault has it in every answer', async () => {
  const model = demoModel({ ...atOnce, fault: { errorType: 'upstream', afterTokens: 0 } })
  const heard = listener()
  const failed = model.stream(request('Why?'), heard, never)
  await expect(failed).rejects.toMatchObject({ errorType: 'upstream' })
  expect(heard.deltas).toBe(0)
})

test('an abort is told at once, with its reason, and nothing is said after it', async () => {
  const abort = new AbortController()
  const heard = listener()
  const failed = demoModel({ tokensPerSecond: 200, firstTokenMs: 0 }).stream(
    request('/long'),
    heard,
    abort.signal,
  )
  failed.catch(() => undefined)
  await until(() => heard.deltas > 3, { what: 'it speaks' })
  const reason = new Error('enough')
  abort.abort(reason)
  const { deltas } = heard
  await expect(failed).rejects.toBe(reason)
  await Bun.sleep(50)
  expect(heard.deltas).toBe(deltas)
})

test('/stall falls silent in the middle, and an abort still ends it at once', async () => {
  const abort = new AbortController()
  const heard = listener()
  const failed = demoModel(atOnce).stream(request('/stall 60000'), heard, abort.signal)
  failed.catch(() => undefined)
  await until(() => heard.deltas > 20, { what: 'it speaks' })
  abort.abort(new Error('enough'))
  await expect(failed).rejects.toThrow('enough')
})

test('a pause longer than the timer reaches in one round is kept', async () => {
  const startedAt = performance.now()
  const { deltas } = await ask('/stall 2700')
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(2700)
  expect(deltas).toBeGreaterThan(100)
})

test('the pace is kept by many answers at once', async () => {
  const model = demoModel({ tokensPerSecond: 100, firstTokenMs: 0 })
  const heard = Array.from({ length: 200 }, listener)
  const startedAt = performance.now()
  await Promise.all(heard.map((sink, at) => model.stream(request(`${at} /long 60`), sink, never)))
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(590)
  expect(heard.every(({ deltas }) => deltas === 60)).toBe(true)
})

test('a pace above one token per tick of the timer is kept', async () => {
  const startedAt = performance.now()
  const { deltas } = await ask('/fast /long 1500', {})
  const tookMs = performance.now() - startedAt
  expect(deltas).toBe(1500)
  expect(tookMs).toBeGreaterThanOrEqual(1490)
  // One a tick would be 7,500.
  expect(tookMs).toBeLessThan(4000)
})

test('a listener that throws ends its own answer and no other', async () => {
  const model = demoModel({ tokensPerSecond: 500, firstTokenMs: 0 })
  const broken: ModelSink = {
    delta() {
      throw new Error('full')
    },
    status: () => undefined,
  }
  const heard = listener()
  const whole = model.stream(request('/long 20'), heard, never)
  await expect(model.stream(request('Why?'), broken, never)).rejects.toThrow('full')
  await whole
  expect(heard.deltas).toBe(20)
})

test('there is nothing to reach', async () => {
  expect(await demoModel().health()).toEqual({ state: 'off' })
})
