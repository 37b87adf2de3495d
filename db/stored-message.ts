import type { InferSelectModel } from 'drizzle-orm'
import type { messages } from './schema/messages.ts'

/** A message as history shows it, plus what is told of a single answer. Times are ISO 8601. */
export interface StoredMessage {
  messageId: string
  conversationId: string
  role: 'user' | 'assistant'
  content: string
  outcome: 'completed' | 'cancelled' | 'failed' | 'interrupted'
  createdAt: string
  parts?: { part: number; kind: string; text?: string; data?: unknown }[]
  metadata?: Record<string, unknown>
  parentMessageId?: string
  model?: string
  chunks?: number
  length?: number
  sha256?: string
  finishReason?: string
  usage?: Record<string, number>
  error?: { code: string; errorType: string; message: string }
  finishedAt?: string
}

export type MessageRow = Omit<InferSelectModel<typeof messages>, 'search'>

/** What isn't there is left out; jsonb comes back as it was written by `saveMessages`. */
export function storedMessage(row: MessageRow): StoredMessage {
  const { parts, metadata, parentMessageId, model, chunks, length, sha256, finishReason } = row
  const { usage, error, finishedAt } = row
  return {
    messageId: row.messageId,
    conversationId: row.conversationId,
    role: row.role,
    content: row.content ?? '',
    outcome: row.outcome,
    createdAt: row.createdAt.toISOString(),
    ...(parts !== null && { parts: parts as NonNullable<StoredMessage['parts']> }),
    ...(metadata !== null && { metadata: metadata as Record<string, unknown> }),
    ...(parentMessageId !== null && { parentMessageId }),
    ...(model !== null && { model }),
    ...(chunks !== null && { chunks }),
    ...(length !== null && { length }),
    ...(sha256 !== null && { sha256 }),
    ...(finishReason !== null && { finishReason }),
    ...(usage !== null && { usage: usage as Record<string, number> }),
    ...(error !== null && { error: error as NonNullable<StoredMessage['error']> }),
    ...(finishedAt !== null && { finishedAt: finishedAt.toISOString() }),
  }
}
