import type { LogRecord, NewRecord } from '#eventlog/event-log.ts'
import { recordOf } from '#events/codec.ts'
import { topicOf } from '#events/topics.ts'
import { uuidv7 } from '#runtime/ids.ts'

export type Fields = Record<string, unknown> & {
  eventId: string
  eventType: string
  sessionId: string
}

interface Chat {
  question?: string
  answer?: string[]
  /** `completed` by default. */
  outcome?: 'completed' | 'cancelled' | 'failed' | 'interrupted'
  metadata?: Record<string, unknown>
}

/** Tells the events of one session as a gateway does: numbered, complete, in order. */
export class Teller {
  readonly sessionId: string
  readonly events: Fields[] = []
  readonly ids = { tenantId: 'default', userId: 'ada' }
  epoch = 1_000
  seq = 0
  atMs: number

  constructor(
    sessionId: string,
    options: { tenantId?: string; userId?: string; atMs?: number } = {},
  ) {
    this.sessionId = sessionId
    this.atMs = options.atMs ?? Date.now() - 60_000
    this.ids = { tenantId: options.tenantId ?? 'default', userId: options.userId ?? 'ada' }
  }

  /** An event of no step. */
  tell(eventType: string, fields: Record<string, unknown> = {}): Fields {
    this.atMs += 1
    const event = {
      eventId: uuidv7(this.atMs),
      eventType,
      schemaVersion: 1,
      timestamp: new Date(this.atMs).toISOString(),
      ...this.ids,
      sessionId: this.sessionId,
      conversationId: this.sessionId,
      nodeId: 'n1',
      ...fields,
    }
    this.events.push(event)
    return event
  }

  /** An event of the step that is now. */
  step(eventType: string, fields: Record<string, unknown> = {}): Fields {
    return this.tell(eventType, { ...fields, epoch: this.epoch, seq: this.seq })
  }

  /** A question and its answer: every event of them; answers the ids. */
  chat({
    question = 'Why?',
    answer = ['Be', 'cause'],
    outcome = 'completed',
    metadata,
  }: Chat = {}) {
    const userMessageId = uuidv7(this.atMs + 1)
    const messageId = uuidv7(this.atMs + 2)
    this.seq += 1
    if (this.seq === 1) this.step('SESSION_STARTED')
    this.step('CHAT_MESSAGE', {
      messageId: userMessageId,
      role: 'user',
      status: 'completed',
      content: question,
      contentLength: question.length,
      ...(metadata && { metadata }),
    })
    this.step('STREAM_STARTED', { messageId, userMessageId, model: 'demo' })
    const text = answer.join('')
    if (answer.length > 0) {
      const fromSeq = this.seq + 1
      this.seq += answer.length
      this.chunks({ messageId, fromChunkIndex: 0, chunkIndex: answer.length - 1, fromSeq, text })
    }
    this.seq += 1
    const counts = {
      messageId,
      userMessageId,
      model: 'demo',
      totalChunks: answer.length,
      contentLength: text.length,
      wordCount: text.split(/\s+/).filter(Boolean).length,
      durationMs: 2_000,
      timeToFirstChunkMs: 120,
      chunkSizes: sizesOf(answer),
    }
    if (outcome === 'completed') this.step('STREAM_COMPLETED', { ...counts, finishReason: 'stop' })
    else if (outcome === 'cancelled') this.step('STREAM_CANCELLED', { ...counts, reason: 'user' })
    else
      this.step('STREAM_ERROR', { ...counts, error: 'cut off', errorType: 'connection', outcome })
    this.step('CHAT_MESSAGE', {
      messageId,
      role: 'assistant',
      status: outcome,
      content: text,
      contentLength: text.length,
      parentMessageId: userMessageId,
      model: 'demo',
      totalChunks: answer.length,
      finishReason: 'stop',
    })
    return { userMessageId, messageId }
  }

  chunks(fields: Record<string, unknown> & { text: string }): Fields {
    const { fromSeq, ...rest } = fields
    const contentLength = fields.text.length
    return this.tell('CHUNK_RECEIVED', {
      ...rest,
      contentLength,
      epoch: this.epoch,
      seq: this.seq,
      fromSeq: fromSeq ?? this.seq,
    })
  }

  erase(): Fields {
    this.seq += 1
    return this.step('HISTORY_ERASED')
  }

  records(): NewRecord[] {
    return this.events.map(recordFor)
  }
}

function sizesOf(chunks: string[]): number[] {
  const sizes: number[] = []
  for (const { length } of chunks) {
    const power = Math.floor(Math.log2(length))
    while (sizes.length <= power) sizes.push(0)
    sizes[power] = (sizes[power] ?? 0) + 1
  }
  return sizes
}

/** The event as a gateway writes it. */
export function recordFor(event: Fields): NewRecord {
  return recordOf({
    eventId: event.eventId,
    eventType: event.eventType,
    topic: topicOf(event.eventType),
    key: event.sessionId,
    timestamp: Date.parse(String(event['timestamp'])),
    nodeId: String(event['nodeId']),
    json: JSON.stringify(event),
  })
}

/** As if it stood in the log. */
export function placed(record: NewRecord, offset: number, partition = 0): LogRecord {
  return { ...record, partition, offset }
}

export function textRecord(topic: string, key: string, value: string | null): NewRecord {
  const encoder = new TextEncoder()
  return {
    topic,
    key: encoder.encode(key),
    value: value === null ? null : encoder.encode(value),
    headers: [],
    timestamp: Date.now(),
  }
}
