import type {
  GenerationFailure,
  GenerationStatus,
  HistoryMessage,
  MessagePart,
  Metadata,
  Outcome,
  Usage,
} from './frames.ts'

/** A message as it is shown. Never changed in place: a change makes a new object. */
export interface ChatMessage {
  /** Of a question that the server has not accepted yet: its `requestId`. */
  messageId: string
  role: 'user' | 'assistant'
  /** All text parts joined. */
  content: string
  /** Text, reasoning and what else the model made, in order. Empty for a user's. */
  parts: readonly MessagePart[]
  /** Empty of an answer that this client saw begin. */
  createdAt: string
  /** Null while it is being made or sent. */
  outcome: Outcome | null
  /** While it is being made; `sending` and `unsent` of a question on its way or refused. */
  status: GenerationStatus | 'sending' | 'unsent' | null
  /** Of an answer: its question. */
  parentMessageId?: string
  requestId?: string
  model?: string
  finishReason?: string
  usage?: Usage
  metadata?: Metadata
  error?: GenerationFailure
}

export function fromHistory(message: HistoryMessage): ChatMessage {
  const { messageId, role, content, outcome, createdAt, parts, parentMessageId } = message
  const { metadata, model, error } = message
  const plain =
    role === 'assistant' && content !== '' ? [{ part: 0, kind: 'text', text: content }] : []
  return {
    messageId,
    role,
    content,
    parts: parts ?? plain,
    createdAt,
    outcome,
    status: null,
    ...(parentMessageId !== undefined && { parentMessageId }),
    ...(metadata !== undefined && { metadata }),
    ...(model !== undefined && { model }),
    ...(error !== undefined && { error }),
  }
}

/** Adds a delta to the part that it belongs to. */
export function withChunk(
  message: ChatMessage,
  chunk: { kind: string; part: number; text?: string; data?: unknown },
): ChatMessage {
  const { kind, part, text, data } = chunk
  const last = message.parts.at(-1)
  const isSame = last !== undefined && last.part === part && last.kind === kind
  const parts = isSame ? message.parts.slice(0, -1) : message.parts.slice()
  const joined = (isSame ? (last.text ?? '') : '') + (text ?? '')
  parts.push({
    part,
    kind,
    ...(text !== undefined && { text: joined }),
    ...(data !== undefined && { data }),
  })
  const content = kind === 'text' ? message.content + (text ?? '') : message.content
  return { ...message, parts, content }
}
