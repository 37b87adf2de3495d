import type { ChatConfig, ModelConfig } from '../../config.ts'
import type { Ask } from '../asks.ts'
import { ContractError } from '../errors.ts'
import { wellFormed, wellFormedJson } from '../text.ts'

export interface QuestionRules {
  chat: Pick<ChatConfig, 'maxContentBytes'>
  model: Pick<ModelConfig, 'name' | 'names' | 'systemPrompt' | 'isSystemPromptAllowed'>
}

/** A question that may be asked. */
export interface Question {
  /** '' with `regenerate`. */
  content: string
  regenerate: string | undefined
  model: string
  system: string | null
  temperature: number | undefined
  maxTokens: number | undefined
  metadata: Record<string, unknown> | undefined
}

const metadataBytesMax = 4_096
const temperatureMax = 2

/** What the same key must not be used for twice: the content, as it would be stored, and what it regenerates. */
export function digestOf({ content, regenerate }: Ask): string {
  const asked = regenerate === undefined ? [wellFormed(content ?? '')] : [null, regenerate]
  return new Bun.CryptoHasher('sha256').update(JSON.stringify(asked)).digest('hex')
}

/** Throws `invalid_request`, or `too_large` for content over its limit, naming the field. */
export function checkQuestion(ask: Ask, rules: QuestionRules): Question {
  const { options = {}, regenerate } = ask
  return {
    content: regenerate === undefined ? contentOf(ask, rules.chat.maxContentBytes) : '',
    regenerate,
    model: modelOf(options.model, rules),
    system: systemOf(options.system, rules),
    temperature: temperatureOf(options.temperature),
    maxTokens: maxTokensOf(options.maxTokens),
    metadata: metadataOf(ask.metadata),
  }
}

function contentOf(ask: Ask, maxBytes: number): string {
  const content = wellFormed(ask.content ?? '')
  if (content.trim() === '') throw invalid('content', 'content must not be blank')
  if (Buffer.byteLength(content) > maxBytes) {
    const message = `content is over the limit of ${maxBytes} bytes`
    throw new ContractError('too_large', message, { field: 'content' })
  }
  return content
}

function modelOf(asked: string | undefined, { model }: QuestionRules): string {
  if (asked === undefined) return model.name
  if (model.names.includes(asked)) return asked
  throw invalid('options.model', `options.model must be one of ${model.names.join(', ')}`)
}

function systemOf(asked: string | undefined, { model, chat }: QuestionRules): string | null {
  if (asked === undefined) return model.systemPrompt
  if (!model.isSystemPromptAllowed) {
    throw invalid('options.system', 'options.system is not allowed here')
  }
  const system = wellFormed(asked)
  if (Buffer.byteLength(system) > chat.maxContentBytes) {
    const message = `options.system is over the limit of ${chat.maxContentBytes} bytes`
    throw invalid('options.system', message)
  }
  return system
}

function temperatureOf(asked: number | undefined): number | undefined {
  if (asked === undefined || (asked >= 0 && asked <= temperatureMax)) return asked
  throw invalid('options.temperature', `options.temperature must be from 0 to ${temperatureMax}`)
}

function maxTokensOf(asked: number | undefined): number | undefined {
  if (asked === undefined || (Number.isSafeInteger(asked) && asked >= 1)) return asked
  throw invalid('options.maxTokens', 'options.maxTokens must be a whole number of at least 1')
}

function metadataOf(asked: Ask['metadata']): Record<string, unknown> | undefined {
  if (asked === undefined) return undefined
  const metadata = wellFormedJson(asked) as Record<string, unknown>
  if (Buffer.byteLength(JSON.stringify(metadata)) > metadataBytesMax) {
    throw invalid('metadata', `metadata is over the limit of ${metadataBytesMax} bytes of JSON`)
  }
  return metadata
}

function invalid(field: string, message: string): ContractError {
  return new ContractError('invalid_request', message, { field })
}
