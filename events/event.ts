import { z } from 'zod'
import { Count, Duration, envelope, Id, Name, Outcome, Parts, step, Usage, Uuid } from './fields.ts'

// Objects are loose: a field that we don't know is kept, so that an audit row has it.

export const SessionStarted = z.looseObject({
  ...envelope,
  eventType: z.literal('SESSION_STARTED'),
  ...step,
})

export const StreamStarted = z.looseObject({
  ...envelope,
  eventType: z.literal('STREAM_STARTED'),
  ...step,
  messageId: Uuid,
  model: Name,
  userMessageId: Uuid,
  requestId: Id.optional(),
  regenerates: Uuid.optional(),
})

/** A run of chunks: indexes `fromChunkIndex..chunkIndex`, steps `fromSeq..seq`. No `text` with EVENT_CONTENT=none. */
export const ChunkReceived = z
  .looseObject({
    ...envelope,
    eventType: z.literal('CHUNK_RECEIVED'),
    ...step,
    messageId: Uuid,
    fromSeq: z.int().positive(),
    fromChunkIndex: Count,
    chunkIndex: Count,
    contentLength: Count,
    text: z.string().optional(),
  })
  .refine(({ fromSeq, seq }) => fromSeq <= seq, { path: ['fromSeq'], error: 'is above seq' })
  .refine(({ fromChunkIndex, chunkIndex }) => fromChunkIndex <= chunkIndex, {
    path: ['fromChunkIndex'],
    error: 'is above chunkIndex',
  })

/** Of every end, as far as known. `chunkSizes[i]` counts chunks of 2^i to 2^(i+1)-1 UTF-16 units. */
const ended = {
  messageId: Uuid,
  userMessageId: Uuid.optional(),
  totalChunks: Count.optional(),
  contentLength: Count.optional(),
  wordCount: Count.optional(),
  durationMs: Duration.optional(),
  timeToFirstChunkMs: Duration.optional(),
  chunkSizes: z.array(Count).optional(),
  model: Name.optional(),
  finishReason: z.string().optional(),
  usage: Usage.optional(),
}

export const StreamCompleted = z.looseObject({
  ...envelope,
  eventType: z.literal('STREAM_COMPLETED'),
  ...step,
  ...ended,
  totalChunks: Count,
  contentLength: Count,
  wordCount: Count,
  durationMs: Duration,
  chunkSizes: z.array(Count),
  model: Name,
})

/** `reason`: `user`, `abandoned`, `erased`. */
export const StreamCancelled = z.looseObject({
  ...envelope,
  eventType: z.literal('STREAM_CANCELLED'),
  ...step,
  ...ended,
  reason: Name,
})

/** `error` is for people, `errorType` for programs. */
export const StreamError = z.looseObject({
  ...envelope,
  eventType: z.literal('STREAM_ERROR'),
  ...step,
  ...ended,
  error: z.string(),
  errorType: Name,
  outcome: z.enum(['failed', 'interrupted']),
})

/** A connection that came with a cursor. `result`: `resumed`, `snapshot`; `missed`: steps since the cursor. */
export const RecoveryAttempt = z.looseObject({
  ...envelope,
  eventType: z.literal('RECOVERY_ATTEMPT'),
  messageId: Uuid.optional(),
  cursor: z.string(),
  result: Name,
  success: z.boolean(),
  reason: z.string().optional(),
  missed: Count,
  transport: Name,
})

const connection = { transport: Name, connectionId: Name, code: z.int().optional() }

export const ClientConnected = z.looseObject({
  ...envelope,
  eventType: z.literal('CLIENT_CONNECTED'),
  ...connection,
})

export const ClientDisconnected = z.looseObject({
  ...envelope,
  eventType: z.literal('CLIENT_DISCONNECTED'),
  ...connection,
})

/** No `content` and no `parts` with EVENT_CONTENT=none. */
export const ChatMessage = z.looseObject({
  ...envelope,
  eventType: z.literal('CHAT_MESSAGE'),
  ...step,
  messageId: Uuid,
  role: z.enum(['user', 'assistant']),
  status: Outcome,
  content: z.string().optional(),
  contentLength: Count,
  parts: Parts.optional(),
  parentMessageId: Uuid.optional(),
  model: Name.optional(),
  totalChunks: Count.optional(),
  finishReason: z.string().optional(),
  usage: Usage.optional(),
  /** Of an answer that ended `failed` or `interrupted`. */
  error: z.looseObject({ code: z.string(), errorType: z.string(), message: z.string() }).optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
})

/** Covers `(epoch, seq)` up to its own. */
export const HistoryErased = z.looseObject({
  ...envelope,
  eventType: z.literal('HISTORY_ERASED'),
  ...step,
})

export const Event = z.discriminatedUnion('eventType', [
  SessionStarted,
  StreamStarted,
  ChunkReceived,
  StreamCompleted,
  StreamCancelled,
  StreamError,
  RecoveryAttempt,
  ClientConnected,
  ClientDisconnected,
  ChatMessage,
  HistoryErased,
])

/** A fact in the event log, of a type that we know. */
export type Event = z.infer<typeof Event>

export type EventType = Event['eventType']

export type EventOf<Type extends EventType> = Extract<Event, { eventType: Type }>

/** Every type that stands in the log. */
export const eventTypes: readonly EventType[] = Event.options.map(
  (option) => option.shape.eventType.value,
)

/** What an event of any type has, known to us or not. */
export const Envelope = z.looseObject({ ...envelope, eventType: Name })

export type Envelope = z.infer<typeof Envelope>
