import { randomToken } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import type { ChatConfig } from '../../config.ts'
import type { SessionRef, StoredMessage } from '../../generations/generations.ts'
import type { Begin, OpenEvent } from '../../generations/steps.ts'
import type { ModelMessage } from '../../models/model.ts'
import type { Ask } from '../asks.ts'
import { newMessageId } from '../message-id.ts'
import { openEvent } from '../open-event.ts'
import type { Question } from './question.ts'
import type { AskTrace } from './trace.ts'

export interface FirstStepDeps {
  nodeId: string
  config: { chat: Pick<ChatConfig, 'eventContent'> }
  leaseMs: number
  now: () => number
}

/** A question that has passed every check but the step itself. */
export interface Draft {
  session: SessionRef
  ask: Ask
  digest: string
  question: Question
  /** Of a regeneration: the question that stands already. */
  standing: StoredMessage | null
  context: ModelMessage[]
}

/** Everything of the first step, made once: it may have to be repeated. */
export function firstStep(deps: FirstStepDeps, draft: Draft, trace: AskTrace): Begin {
  const { session, ask, question, standing, digest } = draft
  const { sessionId } = session
  const at = deps.now()
  const userMessage: StoredMessage = standing ?? {
    messageId: newMessageId(sessionId, at),
    conversationId: sessionId,
    role: 'user',
    content: question.content,
    outcome: 'completed',
    createdAt: iso(at),
    ...(question.metadata && { metadata: question.metadata }),
  }
  const ids = {
    messageId: newMessageId(sessionId, at),
    userMessageId: userMessage.messageId,
    model: question.model,
    ...(ask.requestId !== undefined && { requestId: ask.requestId }),
    ...(question.regenerate !== undefined && { regenerates: question.regenerate }),
  }
  const event = (eventType: string, fields: Record<string, unknown>) =>
    openEvent({
      eventType,
      session,
      at,
      nodeId: deps.nodeId,
      traceparent: trace.traceparent,
      fields,
    })
  const asked = standing === null ? [questionEvent(deps, userMessage, event)] : []
  return {
    ...ids,
    session,
    ifAbsent: 'create',
    token: randomToken(),
    leaseMs: deps.leaseMs,
    at,
    digest,
    ...(standing === null && { question: userMessage }),
    startedFrame: startedFrame(userMessage, ids),
    sessionStarted: event('SESSION_STARTED', {}),
    events: [...asked, event('STREAM_STARTED', ids)],
  }
}

function questionEvent(
  { config }: FirstStepDeps,
  { messageId, content, metadata }: StoredMessage,
  event: (eventType: string, fields: Record<string, unknown>) => OpenEvent,
): OpenEvent {
  return event('CHAT_MESSAGE', {
    messageId,
    role: 'user',
    status: 'completed',
    ...(config.chat.eventContent === 'full' && { content }),
    contentLength: content.length,
    metadata,
  })
}

type Ids = Pick<Begin, 'messageId' | 'requestId' | 'regenerates' | 'model'>

function startedFrame(userMessage: StoredMessage, ids: Ids): string {
  const { messageId, content, createdAt, metadata } = userMessage
  const frame = {
    type: 'started',
    messageId: ids.messageId,
    userMessage: { messageId, content, createdAt, metadata },
    requestId: ids.requestId,
    regenerates: ids.regenerates,
    model: ids.model,
  }
  return JSON.stringify(frame).slice(0, -1)
}
