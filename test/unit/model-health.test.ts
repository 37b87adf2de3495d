import { describe, expect, test } from 'bun:test'
import type { ModelRequest, ModelSink } from '#gateway/models/model.ts'
import { openaiModel } from '#gateway/models/openai.ts'
import { answering, ScriptedUpstream } from '../support/scripted-upstream.ts'

const question: ModelRequest = {
  messageId: 'm1',
  model: 'test-model',
  messages: [{ role: 'user', content: 'Why?' }],
}
const deaf: ModelSink = { delta: () => undefined, status: () => undefined }
const modelOf = (baseUrl: string) => openaiModel({ baseUrl, apiKey: null, idleMs: 5000 })

describe('health', () => {
  test('is asked of the list of models, once for all who ask', async () => {
    await using upstream = await ScriptedUpstream.start()
    const model = modelOf(upstream.baseUrl)
    const states = await Promise.all([model.health(), model.health(), model.health()])
    expect([...states, await model.health()]).toEqual(Array(4).fill({ state: 'up' }))
    expect(upstream.others).toEqual(['GET /v1/models'])
  })

  test('needs no question while answers come', async () => {
    await using upstream = await ScriptedUpstream.start(answering('Hi'))
    const model = modelOf(upstream.baseUrl)
    await model.stream(question, deaf, new AbortController().signal)
    expect(await model.health()).toEqual({ state: 'up' })
    expect(upstream.others).toEqual([])
  })

  test.each([
    [404, { state: 'up' }],
    [401, { state: 'down', reason: 'HTTP 401' }],
    [500, { state: 'down', reason: 'HTTP 500' }],
  ] as const)('takes HTTP %i for %p', async (status, state) => {
    await using upstream = await ScriptedUpstream.start()
    upstream.modelsStatus = status
    expect(await modelOf(upstream.baseUrl).health()).toEqual(state)
  })

  test('is down where nobody listens', async () => {
    const state = await modelOf('http://127.0.0.1:1/v1').health()
    expect(state).toEqual({ state: 'down', reason: 'out of reach' })
  })
})
