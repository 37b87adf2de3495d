import { eraseSession, type SessionErasure } from '#db/queries/erase-session.ts'
import { type NewMessage, saveMessages } from '#db/queries/save-messages.ts'
import { type NewSession, saveSessions } from '#db/queries/save-sessions.ts'
import type { EventOf } from '#events/event.ts'
import { topics } from '#events/topics.ts'
import { iso } from '#runtime/time.ts'
import { type ConsumedEvent, type ConsumerDefinition, defineConsumer } from '../define.ts'
import { timeOfEvent } from '../event-time.ts'
import { groups } from '../groups.ts'

/** Sessions and messages as they are shown; what is erased stays erased, in whichever order events come. */
export function historyConsumer(): ConsumerDefinition {
  return defineConsumer({
    name: 'history',
    groupId: groups.history,
    // Each of its events is complete in itself, and tells of its session.
    topics: [topics.chat],
    eventTypes: ['CHAT_MESSAGE', 'HISTORY_ERASED'],
    transactional: true,
    // A message may be large.
    batchSize: 200,
    async handle(events, { transaction }) {
      if (transaction === undefined) throw new TypeError('history needs a transaction')
      const { sessions, messages, erasures } = historyOf(events)
      await saveSessions(transaction, sessions)
      await saveMessages(transaction, messages)
      for (const erasure of erasures) await eraseSession(transaction, erasure)
    },
  })
}

interface History {
  sessions: NewSession[]
  messages: NewMessage[]
  /** One a session, by session, so that two batches never wait for each other. */
  erasures: SessionErasure[]
}

/** What a batch of events says. */
export function historyOf(events: readonly ConsumedEvent[]): History {
  const sessions: NewSession[] = []
  const messages: NewMessage[] = []
  const erasures = new Map<string, SessionErasure>()
  for (const { event, isKnown } of events) {
    if (!isKnown) continue
    if (event.eventType === 'CHAT_MESSAGE') {
      const message = messageOf(event)
      messages.push(message)
      sessions.push(sessionOf(event, message.createdAt))
    } else if (event.eventType === 'HISTORY_ERASED') {
      const erasure = erasureOf(event)
      const other = erasures.get(event.sessionId)
      if (other === undefined || isAfter(erasure, other)) erasures.set(event.sessionId, erasure)
    }
  }
  const inTurn = [...erasures.values()].sort((a, b) => (a.sessionId < b.sessionId ? -1 : 1))
  return { sessions, messages, erasures: inTurn }
}

function sessionOf(event: EventOf<'CHAT_MESSAGE'>, at: string): NewSession {
  const { sessionId, tenantId, userId, epoch, seq } = event
  return {
    sessionId,
    tenantId,
    userId,
    createdAt: at,
    last: { epoch, seq },
    lastMessage: { at, epoch, seq },
  }
}

function messageOf(event: EventOf<'CHAT_MESSAGE'>): NewMessage {
  const {
    content = null,
    parts,
    metadata,
    parentMessageId,
    model,
    finishReason,
    usage,
    error,
  } = event
  const isAnswer = event.role === 'assistant'
  return {
    messageId: event.messageId,
    conversationId: event.conversationId,
    sessionId: event.sessionId,
    tenantId: event.tenantId,
    userId: event.userId,
    role: event.role,
    content,
    outcome: event.status,
    createdAt: iso(timeOfEvent({ eventId: event.messageId, timestamp: event.timestamp })),
    length: event.contentLength,
    epoch: event.epoch,
    seq: event.seq,
    ...(parts !== undefined && { parts: parts as NonNullable<NewMessage['parts']> }),
    ...(metadata !== undefined && { metadata }),
    ...(parentMessageId !== undefined && { parentMessageId }),
    ...(model !== undefined && { model }),
    ...(event.totalChunks !== undefined && { chunks: event.totalChunks }),
    ...(finishReason !== undefined && { finishReason }),
    ...(usage !== undefined && { usage: usage as Record<string, number> }),
    ...(error !== undefined && { error: failureOf(error) }),
    ...(isAnswer && content !== null && { sha256: sha256(content) }),
    ...(isAnswer && { finishedAt: iso(timeOfEvent(event)) }),
  }
}

function failureOf({ code, errorType, message }: NonNullable<EventOf<'CHAT_MESSAGE'>['error']>) {
  return { code, errorType, message }
}

function erasureOf(event: EventOf<'HISTORY_ERASED'>): SessionErasure {
  const { sessionId, tenantId, userId, epoch, seq } = event
  return { sessionId, tenantId, userId, epoch, seq, at: iso(timeOfEvent(event)) }
}

function isAfter(a: SessionErasure, b: SessionErasure): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq)
}

function sha256(text: string): string {
  return new Bun.CryptoHasher('sha256').update(text).digest('hex')
}
