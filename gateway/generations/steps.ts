import type {
  ChunkKind,
  Generation,
  Intent,
  Outcome,
  SessionRef,
  StoredMessage,
} from './generations.ts'

/**
 * An event of a step, made before the first try and never again. `json` is the event's JSON without its closing
 * brace; the step closes it with `,"epoch":…,"seq":…}` (a run also `,"fromSeq":…`, the first event of an epoch
 * after the first also `,"previous":{"epoch":…,"seq":…}`), so nothing is parsed in the step.
 */
export interface OpenEvent {
  eventId: string
  eventType: string
  topic: string
  key: string
  timestamp: number
  nodeId: string
  json: string
  traceparent?: string
}

/** An event of no step (`RECOVERY_ATTEMPT`, `CLIENT_*`): `json` is whole. */
export type FreeEvent = OpenEvent

export interface Begin {
  session: SessionRef
  /** `ask`: answers `absent` for a session that hot state doesn't know while Postgres may. `create`: makes it. */
  ifAbsent: 'ask' | 'create'
  messageId: string
  /** The question: new, or (with `regenerates`) the existing one. */
  userMessageId: string
  /** The owner's: random, compared for equality. */
  token: string
  leaseMs: number
  at: number
  /** Idempotency key, per user and session, kept 24 h. */
  requestId?: string
  /** Of content and `regenerate`: the same key with another digest is a conflict. */
  digest: string
  model: string
  /** The answer that is made anew. */
  regenerates?: string
  /** Left out with `regenerates`. */
  question?: StoredMessage
  startedFrame: string
  /** Told only when it is the session's first message. */
  sessionStarted: OpenEvent
  events: OpenEvent[]
}

export type BeginResult =
  | { is: 'applied'; epoch: number; seq: number }
  /** The request key (or this very step) is known: the first one's ids. */
  | { is: 'already'; messageId: string; userMessageId: string }
  | { is: 'conflict' }
  | { is: 'busy'; messageId: string }
  | { is: 'forbidden' }
  | { is: 'absent' }
  /** The event log's bound is reached: nothing new begins. */
  | { is: 'full'; reason: string }

/** Tells chunks `[from, to)` in one event; `from` is the `told` that it assumes. */
export interface Run {
  from: number
  to: number
  event: OpenEvent
}

export interface Append {
  sessionId: string
  messageId: string
  token: string
  /** Index of the first of `chunks`. Each chunk is one step. */
  next: number
  chunks: { kind: ChunkKind; part: number; text: string }[]
  /** In order; the last ends at or before `next + chunks.length`. */
  runs: Run[]
  /** When the oldest of `chunks` came from the model: watchers of this node hear it, for `gateway.chunk.latency`. */
  at?: number
}

export type AppendResult =
  | { is: 'applied' }
  /** All of these chunks are in the log already. */
  | { is: 'already' }
  /** The log ends at chunk `next`: send again from there, byte for byte. */
  | { is: 'behind'; next: number }
  /** The runs assumed another `told`. */
  | { is: 'told'; told: number }
  /** Another owns it, or it has ended: stop the model call. */
  | { is: 'refused' }
  /** Nothing is known of it. */
  | { is: 'lost' }

/** What became of a step could not be learned, while of others in the same go it could: repeat it as it was. */
export interface NotLearned {
  is: 'unknown'
  error: unknown
}

export interface Claim {
  messageId: string
  intent: Intent
  /** The claimer's: random; becomes the owner's token. */
  token: string
  leaseMs: number
  at: number
  /** Only when the owner's lease is over (sweep). */
  onlyLapsed?: boolean
}

export type ClaimResult =
  | { is: 'claimed'; intent: Intent; generation: Generation; told: number }
  | { is: 'ended'; outcome: Outcome; generation: Generation }
  /** A claim younger than 500 ms is at work: ask again. */
  | { is: 'wait' }
  | { is: 'alive' }
  | { is: 'unknown' }

export interface Finish {
  sessionId: string
  messageId: string
  token: string
  /** Number of chunks that the hash and the text cover. */
  next: number
  outcome: Outcome
  at: number
  doneFrame: string
  /** What no event has told yet. */
  runs: Run[]
  events: OpenEvent[]
  message: StoredMessage
}

export type FinishResult =
  | { is: 'applied' }
  | { is: 'already'; outcome: Outcome }
  | { is: 'behind'; next: number }
  | { is: 'told'; told: number }
  | { is: 'refused' }
  | { is: 'lost' }

export interface Erase {
  session: SessionRef
  /** Makes the step safe to repeat; kept 24 h. */
  erasureId: string
  at: number
  erasedFrame: string
  events: OpenEvent[]
}

export type EraseResult =
  | { is: 'applied'; epoch: number; seq: number }
  | { is: 'already'; epoch: number; seq: number }
  /** End the active answer first. */
  | { is: 'busy'; messageId: string }
  | { is: 'absent' }
  | { is: 'forbidden' }
