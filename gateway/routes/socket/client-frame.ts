import { z } from 'zod'
import { bearerSubprotocol } from '#client/frames.ts'
import type { Ask } from '../../chat/asks.ts'
import { id, invalid, parse, shortText } from '../parse.ts'

/** What a client says, parsed in shape. */
export type ClientFrame =
  | { type: 'chat'; ask: Ask; requestId?: string }
  | { type: 'cancel'; messageId: string }
  | { type: 'auth'; token: string }
  | { type: 'ping' | 'pong' }

const object = 'must be an object'

const Options = z.object(
  {
    model: shortText(200).optional(),
    system: z.string({ error: 'must be a text' }).optional(),
    temperature: z
      .number({ error: 'must be a number from 0 to 2' })
      .min(0, 'must be a number from 0 to 2')
      .max(2, 'must be a number from 0 to 2')
      .optional(),
    maxTokens: z
      .int({ error: 'must be a whole number of at least 1' })
      .min(1, 'must be a whole number of at least 1')
      .optional(),
  },
  { error: object },
)

const Chat = z.object({
  requestId: id().optional(),
  content: z.string({ error: 'must be a text' }).optional(),
  options: Options.optional(),
  metadata: z.record(z.string(), z.unknown(), { error: object }).optional(),
  regenerate: id().optional(),
  attachments: z.undefined({ error: 'is not possible yet' }).optional(),
})

const Cancel = z.object({ messageId: id() })
const Auth = z.object({ token: shortText(65_536).min(1, 'must not be empty') })

/** The object of a text frame; null: no JSON object. */
export function objectOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/** Throws `invalid_request` that names the field. */
export function clientFrame(frame: Record<string, unknown>): ClientFrame {
  const type = frame['type']
  switch (type) {
    case 'ping':
    case 'pong':
      return { type }
    case 'chat':
      return chatFrame(frame)
    case 'cancel':
      return { type, messageId: parse(Cancel, frame).messageId }
    case 'auth': {
      const { token } = parse(Auth, frame)
      // As in the sub-protocol; a client may well hold it in that form.
      const isPrefixed = token.startsWith(bearerSubprotocol)
      return { type, token: isPrefixed ? token.slice(bearerSubprotocol.length) : token }
    }
    default:
      throw invalid('type: must be chat, cancel, auth, ping or pong', 'type')
  }
}

function chatFrame(frame: Record<string, unknown>): ClientFrame {
  const { requestId, content, options, metadata, regenerate } = parse(Chat, frame)
  if (content === undefined && regenerate === undefined) {
    throw invalid('content: must be a text', 'content')
  }
  const ask: Ask = {
    ...(content !== undefined && { content }),
    ...(requestId !== undefined && { requestId }),
    ...(options !== undefined && { options: definedOf(options) }),
    ...(metadata !== undefined && { metadata }),
    ...(regenerate !== undefined && { regenerate }),
  }
  return { type: 'chat', ask, ...(requestId !== undefined && { requestId }) }
}

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> }

function definedOf<T extends object>(value: T): Defined<T> {
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(members) as Defined<T>
}
