/** The protocol's number, as `welcome` says it. */
export const protocolVersion = 1

/** The sub-protocol that a client offers first; with a token, `bearer.<jwt>` follows it. */
export const subprotocol = 'sluice.v1'
export const bearerSubprotocol = 'bearer.'

/** Close codes of the WebSocket. 4000-4499 and 1012: come back; 4500-4999: not as you are. */
export const closeCodes = {
  /** The node drains: reconnect now, jittered. */
  draining: 1012,
  /** Token expired: get another, come back. */
  tokenExpired: 4001,
  /** Read too slowly: come back with the cursor. */
  tooSlow: 4008,
  /** No answer to a ping. */
  noPong: 4010,
  /** Over 100 frames a second, or too many connections. */
  tooMany: 4029,
  /** No JSON object, binary, a bad `sessionId` or `cursor`, or the 20th bad frame in 10 s. */
  malformed: 4500,
  notAuthenticated: 4501,
  notYourSession: 4503,
  /** A frame over 64 KiB. */
  frameTooLarge: 4509,
  /** Sub-protocols were offered, `sluice.v1` was not among them. */
  badSubprotocol: 4511,
} as const

/** Whether a client may come back after this close code (anything but 4500-4999). */
export function mayReconnect(code: number): boolean {
  return code < 4500 || code > 4999
}

export type Outcome = 'completed' | 'cancelled' | 'failed' | 'interrupted'
export type GenerationStatus = 'queued' | 'thinking' | 'streaming' | 'stalled' | 'tool'
/** `text` when a chunk doesn't say. The list may grow: count others, show nothing. */
export type ChunkKind = 'text' | 'reasoning'

export type FrameErrorCode =
  | 'invalid_request'
  | 'not_authenticated'
  | 'forbidden'
  | 'not_found'
  | 'generation_in_progress'
  | 'idempotency_conflict'
  | 'gone'
  | 'too_large'
  | 'rate_limited'
  | 'upstream_failed'
  | 'unavailable'

export interface ChatOptions {
  model?: string
  system?: string
  /** 0 to 2. */
  temperature?: number
  /** At least 1. */
  maxTokens?: number
}

/** At most 4 KiB of JSON; echoed in `started` and history. */
export type Metadata = Record<string, unknown>

export interface Usage {
  inputTokens: number
  outputTokens: number
  reasoningTokens?: number
  cachedInputTokens?: number
}

/** A run of chunks of one kind, numbered from 0 in order of appearance. */
export interface MessagePart {
  part: number
  kind: string
  text?: string
  data?: unknown
}

/** A message as `history` and `GET /api/history` show it. `content` is all text parts joined. */
export interface HistoryMessage {
  messageId: string
  conversationId: string
  role: 'user' | 'assistant'
  content: string
  outcome: Outcome
  /** ISO 8601 UTC with milliseconds. */
  createdAt: string
  /** Left out when the answer is one part of text. */
  parts?: MessagePart[]
  metadata?: Metadata
  /** Of an answer: its question. */
  parentMessageId?: string
  model?: string
  error?: GenerationFailure
}

/** Why an answer ended `failed` (`upstream_failed`) or `interrupted` (`unavailable`). */
export interface GenerationFailure {
  code: string
  errorType: string
  message: string
}

// ---- client to server

export interface ChatFrame {
  type: 'chat'
  /** Left out, and not read, with `regenerate`. */
  content?: string
  /** Idempotency key, per user and session, kept 24 h. */
  requestId?: string
  options?: ChatOptions
  metadata?: Metadata
  /** The id of an answer of this session. */
  regenerate?: string
}

export interface CancelFrame {
  type: 'cancel'
  messageId: string
}

/** Refreshes the token; the same user. */
export interface AuthFrame {
  type: 'auth'
  token: string
}

export interface PingFrame {
  type: 'ping'
}

export interface PongFrame {
  type: 'pong'
}

export type ClientFrame = ChatFrame | CancelFrame | AuthFrame | PingFrame | PongFrame

// ---- server to client

export type StartKind = 'fresh' | 'snapshot' | 'resumed'
export type SnapshotReason = 'epoch' | 'ahead' | 'erased' | 'expired'

export interface WelcomeFrame {
  type: 'welcome'
  sessionId: string
  userId: string
  nodeId: string
  protocol: typeof protocolVersion
  heartbeatMs: number
  start: StartKind
  /** With `snapshot`: why the cursor could not be served whole. */
  reason?: SnapshotReason
}

/** All up to `cursor` has been sent. */
export interface LiveFrame {
  type: 'live'
  cursor: string
}

export interface ActiveGeneration {
  messageId: string
  userMessageId: string
  model: string
}

/** The newest messages, oldest first. The active generation's question is in it, its answer is not. */
export interface HistoryFrame {
  type: 'history'
  messages: HistoryMessage[]
  active: ActiveGeneration | null
  /** There is more before this `messageId`. */
  nextBefore?: string
}

export interface AcceptedFrame {
  type: 'accepted'
  requestId?: string
  messageId: string
  userMessageId: string
  sessionId: string
  conversationId: string
  duplicate: boolean
}

export interface StartedFrame {
  type: 'started'
  seq: number
  /** The answer's. */
  messageId: string
  userMessage: { messageId: string; content: string; createdAt: string; metadata?: Metadata }
  requestId?: string
  regenerates?: string
  model: string
}

export interface StatusFrame {
  type: 'status'
  messageId: string
  status: GenerationStatus
}

/** A delta. In a snapshot it has no `seq` and counts by `chunkIndex`; a merged run has `fromSeq`, `fromChunkIndex`. */
export interface ChunkFrame {
  type: 'chunk'
  seq?: number
  fromSeq?: number
  messageId: string
  chunkIndex: number
  fromChunkIndex?: number
  /** `text` when left out. */
  kind?: string
  /** 0 when left out. */
  part?: number
  text?: string
  data?: unknown
}

export interface DoneFrame {
  type: 'done'
  seq: number
  messageId: string
  outcome: Outcome
  /** Of all kinds. */
  chunks: number
  /** UTF-16 units of all chunks of kind `text` joined. */
  length: number
  /** Hex, of the same text in UTF-8. */
  sha256: string
  finishReason?: string
  usage?: Usage
  error?: GenerationFailure
}

/** History is gone up to here. */
export interface ErasedFrame {
  type: 'erased'
  seq: number
}

export interface CancelledFrame {
  type: 'cancelled'
  messageId: string
  /** What stands; may be `completed`. */
  outcome: Outcome
}

export interface AuthenticatedFrame {
  type: 'authenticated'
  /** ISO 8601. */
  expiresAt: string
}

/** The body of every error: of this frame and of `{error: …}` over REST. */
export interface ErrorBody {
  code: FrameErrorCode
  message: string
  /** Whether the same request may succeed later. */
  temporary: boolean
  retryAfterMs?: number
  requestId?: string
  messageId?: string
  field?: string
}

export interface ErrorFrame extends ErrorBody {
  type: 'error'
}

/** Frames that are steps of the session's log: they carry `seq` (a snapshot's chunks do not). */
export type NumberedFrame = StartedFrame | ChunkFrame | DoneFrame | ErasedFrame

export type ServerFrame =
  | WelcomeFrame
  | LiveFrame
  | HistoryFrame
  | AcceptedFrame
  | StartedFrame
  | StatusFrame
  | ChunkFrame
  | DoneFrame
  | ErasedFrame
  | CancelledFrame
  | AuthenticatedFrame
  | PingFrame
  | PongFrame
  | ErrorFrame
