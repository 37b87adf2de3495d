import { iso } from '#runtime/time.ts'
import type { Intent, Outcome, SessionRef, StoredMessage } from '../../generations/generations.ts'
import type { Finish, OpenEvent } from '../../generations/steps.ts'
import type { ModelErrorType, Usage } from '../../models/model.ts'
import { openEvent } from '../open-event.ts'
import type { Transcript } from './transcript.ts'

/** How an answer ends; there are no others. */
export type Ending =
  | { outcome: 'completed'; finishReason: string; usage?: Usage }
  | { outcome: 'cancelled'; reason: 'user' | 'abandoned' | 'erased' }
  | { outcome: 'failed'; errorType: ModelErrorType }
  | { outcome: 'interrupted'; errorType: 'owner_lost' | 'shutdown' }

export function endingOf(intent: Intent): Ending {
  switch (intent) {
    case 'user':
    case 'abandoned':
    case 'erased':
      return { outcome: 'cancelled', reason: intent }
    case 'owner_lost':
    case 'shutdown':
      return { outcome: 'interrupted', errorType: intent }
    case 'timeout':
      return { outcome: 'failed', errorType: 'timeout' }
  }
}

// Ours, word for word: what the upstream said may hold somebody's text or a key.
const messages: Record<ModelErrorType | 'owner_lost' | 'shutdown', string> = {
  rate_limit: 'The model has too many requests.',
  timeout: 'The model took too long.',
  connection: 'The connection to the model failed.',
  upstream: 'The model failed.',
  too_large: 'The answer is longer than the limit.',
  owner_lost: 'The node that made this answer is gone.',
  shutdown: 'The node that made this answer was shut down.',
}

export interface EndOptions {
  session: SessionRef
  messageId: string
  userMessageId: string
  model: string
  /** When the question was accepted; durations count from it. */
  acceptedAtMs: number
  requestId?: string | undefined
  regenerates?: string | undefined
  nodeId: string
  traceparent?: string | undefined
  eventContent: 'full' | 'none'
}

export interface End {
  ending: Ending
  transcript: Transcript
  atMs: number
  /** Left out when it isn't known, or there was none. */
  firstChunkAtMs?: number | undefined
}

/** What the last step of an answer says, to everybody who hears of it. Made once; the step is repeated as it was. */
export function endStep(
  options: EndOptions,
  end: End,
): Pick<Finish, 'next' | 'outcome' | 'at' | 'doneFrame' | 'events' | 'message'> {
  const { ending, transcript, atMs } = end
  const { messageId } = options
  const content = transcript.content()
  const error = errorOf(ending)
  const told = {
    ...(ending.outcome === 'completed' && { finishReason: ending.finishReason }),
    ...(ending.outcome === 'completed' && ending.usage && { usage: ending.usage }),
  }
  const sums = {
    chunks: transcript.next,
    length: content.length,
    sha256: new Bun.CryptoHasher('sha256').update(content).digest('hex'),
  }
  const done = {
    type: 'done',
    messageId,
    outcome: ending.outcome,
    ...sums,
    ...told,
    ...(error && { error }),
  }
  const parts = transcript.parts()
  return {
    next: transcript.next,
    outcome: ending.outcome,
    at: atMs,
    doneFrame: JSON.stringify(done).slice(0, -1),
    events: [
      streamEvent(options, end, content),
      messageEvent(options, end, { content, parts, told: { ...told, ...(error && { error }) } }),
    ],
    message: {
      messageId,
      conversationId: options.session.sessionId,
      role: 'assistant',
      content,
      outcome: ending.outcome,
      createdAt: iso(options.acceptedAtMs),
      ...(parts && { parts }),
      parentMessageId: options.userMessageId,
      model: options.model,
      ...sums,
      ...(told.finishReason !== undefined && { finishReason: told.finishReason }),
      ...(told.usage && { usage: { ...told.usage } }),
      ...(error && { error }),
      finishedAt: iso(atMs),
    },
  }
}

function errorOf(ending: Ending): StoredMessage['error'] {
  if (ending.outcome !== 'failed' && ending.outcome !== 'interrupted') return undefined
  const { outcome, errorType } = ending
  const code = outcome === 'failed' ? 'upstream_failed' : 'unavailable'
  return { code, errorType, message: messages[errorType] }
}

const eventTypes: Record<Outcome, string> = {
  completed: 'STREAM_COMPLETED',
  cancelled: 'STREAM_CANCELLED',
  failed: 'STREAM_ERROR',
  interrupted: 'STREAM_ERROR',
}

function streamEvent(options: EndOptions, end: End, content: string): OpenEvent {
  const { ending, transcript, atMs, firstChunkAtMs } = end
  const since = (ms: number) => Math.max(0, ms - options.acceptedAtMs)
  return eventOf(options, end, eventTypes[ending.outcome], {
    userMessageId: options.userMessageId,
    requestId: options.requestId,
    totalChunks: transcript.next,
    contentLength: content.length,
    wordCount: wordsOf(content),
    durationMs: since(atMs),
    timeToFirstChunkMs: firstChunkAtMs === undefined ? undefined : since(firstChunkAtMs),
    chunkSizes: transcript.chunkSizes(),
    model: options.model,
    ...endFields(ending),
  })
}

function endFields(ending: Ending): Record<string, unknown> {
  switch (ending.outcome) {
    case 'completed':
      return { finishReason: ending.finishReason, usage: ending.usage }
    case 'cancelled':
      return { reason: ending.reason }
    case 'failed':
    case 'interrupted':
      return {
        error: messages[ending.errorType],
        errorType: ending.errorType,
        outcome: ending.outcome,
      }
  }
}

interface Said {
  content: string
  parts: StoredMessage['parts']
  told: { finishReason?: string; usage?: Usage; error?: NonNullable<StoredMessage['error']> }
}

function messageEvent(options: EndOptions, end: End, { content, parts, told }: Said): OpenEvent {
  const isFull = options.eventContent === 'full'
  return eventOf(options, end, 'CHAT_MESSAGE', {
    role: 'assistant',
    status: end.ending.outcome,
    ...(isFull && { content }),
    contentLength: content.length,
    ...(isFull && parts && { parts }),
    parentMessageId: options.userMessageId,
    model: options.model,
    totalChunks: end.transcript.next,
    ...told,
  })
}

function eventOf(
  options: EndOptions,
  end: End,
  eventType: string,
  fields: Record<string, unknown>,
): OpenEvent {
  const { session, messageId, nodeId, traceparent } = options
  return openEvent({
    eventType,
    session,
    at: end.atMs,
    nodeId,
    traceparent,
    fields: { messageId, ...fields },
  })
}

/** Runs of anything but white space. */
function wordsOf(text: string): number {
  return text.match(/\S+/gu)?.length ?? 0
}
