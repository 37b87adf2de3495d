import { describe, expect, test } from 'bun:test'
import type { Ask } from '#gateway/chat/asks.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import { contextOf, modelMessages } from '#gateway/chat/questions/context.ts'
import { checkQuestion, digestOf, type QuestionRules } from '#gateway/chat/questions/question.ts'
import type { StoredMessage } from '#gateway/generations/generations.ts'

const rules: QuestionRules = {
  chat: { maxContentBytes: 100 },
  model: {
    name: 'demo',
    names: ['demo', 'other'],
    systemPrompt: 'Be kind.',
    isSystemPromptAllowed: false,
  },
}
const open: QuestionRules = { ...rules, model: { ...rules.model, isSystemPromptAllowed: true } }

function refusal(ask: Ask, over: QuestionRules = rules): unknown {
  try {
    return checkQuestion(ask, over)
  } catch (error) {
    if (!(error instanceof ContractError)) throw error
    return [error.code, error.details.field]
  }
}

describe('a question', () => {
  test('has the defaults of the configuration', () => {
    expect(checkQuestion({ content: ' a\0 ' }, rules)).toEqual({
      content: ' a\ufffd ',
      regenerate: undefined,
      model: 'demo',
      system: 'Be kind.',
      temperature: undefined,
      maxTokens: undefined,
      metadata: undefined,
    })
  })

  test('is refused when it is blank, naming the field', () => {
    for (const content of [undefined, '', ' \r\n\t\u00a0\u3000']) {
      const ask = content === undefined ? {} : { content }
      expect(refusal(ask)).toEqual(['invalid_request', 'content'])
    }
  })

  test('is refused past its limit of bytes, counted after the replacement of what is not text', () => {
    expect(checkQuestion({ content: 'é'.repeat(50) }, rules).content).toHaveLength(50)
    expect(refusal({ content: 'é'.repeat(51) })).toEqual(['too_large', 'content'])
    expect(refusal({ content: '\0'.repeat(34) })).toEqual(['too_large', 'content'])
  })

  test('that regenerates needs no content, and none is read', () => {
    const question = checkQuestion({ regenerate: 'm1', content: 'x'.repeat(1_000) }, rules)
    expect(question).toMatchObject({ regenerate: 'm1', content: '' })
  })

  test('may only name a model of the list', () => {
    const ask = { content: 'a', options: { model: 'other' } }
    expect(checkQuestion(ask, rules).model).toBe('other')
    const unknown = { content: 'a', options: { model: 'third' } }
    expect(refusal(unknown)).toEqual(['invalid_request', 'options.model'])
  })

  test('brings a system prompt only where that is allowed', () => {
    const ask = { content: 'a', options: { system: 'Be brief.' } }
    expect(refusal(ask)).toEqual(['invalid_request', 'options.system'])
    expect(checkQuestion(ask, open).system).toBe('Be brief.')
    const long = { content: 'a', options: { system: 'x'.repeat(101) } }
    expect(refusal(long, open)).toEqual(['invalid_request', 'options.system'])
  })

  test('keeps temperature and maxTokens in their ranges', () => {
    const withOptions = (options: Ask['options']) => ({ content: 'a', ...(options && { options }) })
    for (const temperature of [0, 1.3, 2]) {
      expect(checkQuestion(withOptions({ temperature }), rules).temperature).toBe(temperature)
    }
    for (const temperature of [-0.1, 2.1, Number.NaN]) {
      expect(refusal(withOptions({ temperature }))).toEqual([
        'invalid_request',
        'options.temperature',
      ])
    }
    expect(checkQuestion(withOptions({ maxTokens: 1 }), rules).maxTokens).toBe(1)
    for (const maxTokens of [0, -1, 1.5]) {
      expect(refusal(withOptions({ maxTokens }))).toEqual(['invalid_request', 'options.maxTokens'])
    }
  })

  test('carries at most 4 KiB of metadata, as well-formed text', () => {
    const metadata = { 'a\0': '\ud800' }
    expect(checkQuestion({ content: 'a', metadata }, rules).metadata).toEqual({
      'a\ufffd': '\ufffd',
    })
    const fits = { k: 'x'.repeat(4_096 - '{"k":""}'.length) }
    expect(checkQuestion({ content: 'a', metadata: fits }, rules).metadata).toEqual(fits)
    const over = { k: `${fits.k}x` }
    expect(refusal({ content: 'a', metadata: over })).toEqual(['invalid_request', 'metadata'])
  })
})

describe('the digest of a question', () => {
  test('is of its content, as it would be stored, and of what it regenerates', () => {
    const digest = digestOf({ content: 'a\ufffd' })
    expect(digestOf({ content: 'a\0', options: { model: 'x' }, metadata: { a: 1 } })).toBe(digest)
    expect(digestOf({ content: 'a' })).not.toBe(digest)
    expect(digestOf({ content: 'a\ufffd', regenerate: 'm1' })).not.toBe(digest)
    expect(digestOf({ content: 'x', regenerate: 'm1' })).toBe(digestOf({ regenerate: 'm1' }))
    expect(digestOf({ regenerate: 'm2' })).not.toBe(digestOf({ regenerate: 'm1' }))
  })
})

describe('what the model is told', () => {
  const message = (content: string, role: 'user' | 'assistant' = 'user') =>
    ({ role, content }) as StoredMessage
  const contents = (messages: { content: string }[]) => messages.map(({ content }) => content)

  test('is the newest messages that fit, oldest first', () => {
    const history = ['1', '22', '333', '4444'].map((text) => message(text))
    const bounds = (contextMessages: number, contextBytes: number) =>
      contents(contextOf(history, { contextMessages, contextBytes }))
    expect(bounds(20, 100)).toEqual(['1', '22', '333', '4444'])
    expect(bounds(2, 100)).toEqual(['333', '4444'])
    expect(bounds(20, 9)).toEqual(['22', '333', '4444'])
    expect(bounds(20, 8)).toEqual(['333', '4444'])
    expect(bounds(20, 3)).toEqual([])
    expect(bounds(0, 100)).toEqual([])
  })

  test('leaves out messages without text', () => {
    const history = [message('a'), message('', 'assistant'), message('b')]
    expect(contents(contextOf(history, { contextMessages: 2, contextBytes: 9 }))).toEqual([
      'a',
      'b',
    ])
  })

  test('begins with the system prompt and ends with the question', () => {
    const messages = modelMessages('Be kind.', [{ role: 'assistant', content: 'b' }], 'q')
    expect(messages).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'q' },
    ])
    expect(modelMessages(null, [], 'q')).toEqual([{ role: 'user', content: 'q' }])
  })
})
