import type {
  Append,
  AppendResult,
  Begin,
  BeginResult,
  Claim,
  ClaimResult,
  Erase,
  EraseResult,
  Finish,
  FinishResult,
  FreeEvent,
  NotLearned,
} from './steps.ts'

/** A place in a session's log: `<epoch>-<seq>` on the wire. */
export interface Cursor {
  epoch: number
  seq: number
}

export type Outcome = 'completed' | 'cancelled' | 'failed' | 'interrupted'
export type Status = 'queued' | 'thinking' | 'streaming' | 'stalled' | 'tool'
export type ChunkKind = 'text' | 'reasoning'

/** Why somebody other than a finishing owner ends an answer. The first intent stands. */
export type Intent = 'user' | 'abandoned' | 'erased' | 'owner_lost' | 'timeout' | 'shutdown'

export interface SessionRef {
  sessionId: string
  tenantId: string
  userId: string
}

/** A message as history shows it, plus what `GET /api/messages` adds for an answer. Kept as JSON by every adapter. */
export interface StoredMessage {
  messageId: string
  conversationId: string
  role: 'user' | 'assistant'
  content: string
  outcome: Outcome
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

/** An entry of a session's log. `frame` is a frame's JSON without its closing brace, closed with `,"seq":…}`. */
export type LogStep =
  | {
      type: 'chunk'
      seq: number
      messageId: string
      chunkIndex: number
      kind: ChunkKind
      part: number
      text: string
    }
  | { type: 'started' | 'done'; seq: number; messageId: string; frame: string }
  | { type: 'erased'; seq: number; frame: string }

/** What a watcher hears, in order. `moved`: something may have been missed (resubscribed, new epoch): read again. */
export type Live =
  /** `at`: when the oldest chunk in it came from the model, as `Append` said; on the owner's node only. */
  | { type: 'steps'; epoch: number; steps: LogStep[]; at?: number }
  | { type: 'status'; messageId: string; status: Status }
  | { type: 'claimed'; messageId: string; intent: Intent }
  | { type: 'moved' }

export interface WatchOptions {
  /** All that the listener has use for; it may hear the rest nonetheless. */
  only?: Live['type']
}

/** What is known of one answer. Chunk `i` stands at seq `startedSeq + 1 + i` of its epoch. */
export interface Generation extends SessionRef {
  messageId: string
  userMessageId: string
  model: string
  createdAtMs: number
  epoch: number
  startedSeq: number
  next: number
  status: Status | 'finished'
  /** Of the accepted request, for the events of the end. */
  requestId?: string
  regenerates?: string
  outcome?: Outcome
  /** Of an ended one, while hot state keeps it (else Postgres has it). */
  message?: StoredMessage
  erased: boolean
}

export interface Snapshot extends SessionRef {
  epoch: number
  /** The top: the last step. 0: none yet. */
  seq: number
  /** Newest messages that fit, oldest first; the newest always. */
  history: StoredMessage[]
  /** There is, or may be, something older than `history` (then `nextBefore` is its first). */
  hasOlder: boolean
  active: {
    messageId: string
    userMessageId: string
    model: string
    status: Status
    startedSeq: number
  } | null
}

export type ReadResult =
  /**
   * Dense from `after.seq + 1`; `top` as it was at the read. Empty when nothing is after the cursor. `active`: the
   * active generation as of `top`; left out when the adapter can't say cheaply. `forgotten`: `after` is the top, and
   * the log has gone since; a client that comes back with such a cursor is told `expired`, a viewer that is here goes on.
   */
  | {
      is: 'steps'
      epoch: number
      top: number
      steps: LogStep[]
      active?: { messageId: string; status: Status } | null
      forgotten?: true
    }
  /** The cursor can't be served whole: the first reason that holds. */
  | { is: 'snapshot'; reason: 'epoch' | 'ahead' | 'erased' | 'expired' }
  | { is: 'absent' }

/** A session as Postgres has it, to be hot again under a new epoch. */
export interface ColdSession extends SessionRef {
  /** The last step that Postgres knows. */
  last: Cursor
  /** The newest, oldest first, within the bounds of hot history. */
  messages: StoredMessage[]
  hasOlder: boolean
}

export interface Watch {
  close(): void
}

/**
 * Hot state: sessions, their logs of steps, and who makes which answer. Every change is one atomic step that also
 * records its events; every step is safe to repeat and first looks whether it has already happened. A promise that
 * rejects leaves the outcome unknown: repeat the step as it was. Watchers hear a step only once it is stored.
 * Adapters: `sqlite/`, `redis/`.
 */
export interface Generations extends AsyncDisposable {
  /** A connection names a session: claims it for the user, or says whose it is not. Counts as use. */
  open(input: {
    session: SessionRef
    at: number
    ifAbsent: 'ask' | 'create'
  }): Promise<{ is: 'open'; epoch: number; seq: number } | { is: 'forbidden' } | { is: 'absent' }>
  /** Set-if-absent; writes a tombstone for each answer in it, so that none lives twice. */
  restore(cold: ColdSession, at: number): Promise<void>
  /** Whose a session is; never claims. */
  session(sessionId: string): Promise<SessionRef | null>
  /** The first one's ids of a known request key, to be answered before all other checks. */
  request(
    session: SessionRef,
    requestId: string,
  ): Promise<{ messageId: string; userMessageId: string; digest: string } | null>
  begin(step: Begin): Promise<BeginResult>
  /** Steps of many generations in one go: one result each, in order. */
  append(steps: Append[]): Promise<(AppendResult | NotLearned)[]>
  claim(step: Claim): Promise<ClaimResult>
  finish(step: Finish): Promise<FinishResult>
  erase(step: Erase): Promise<EraseResult>
  /** Prolongs leases; answers for each whether the token still owns it. */
  renew(leases: { messageId: string; token: string; leaseMs: number }[]): Promise<boolean[]>
  /** Answers whose owner's lease is over and that nobody has ended. */
  lapsed(): Promise<string[]>
  /** Told to watchers and kept for snapshots; not a step, not durable. */
  setStatus(sessionId: string, messageId: string, status: Status): void
  /** Steps after a cursor: at most `maxSteps` and about `maxBytes`, at least one if there is one. */
  read(sessionId: string, after: Cursor, maxSteps: number, maxBytes: number): Promise<ReadResult>
  snapshot(sessionId: string): Promise<Snapshot | null>
  find(messageId: string): Promise<Generation | null>
  /** Resolves once subscribed: every step stored after that is heard. One per session and node is enough. */
  watch(sessionId: string, listener: (live: Live) => void, options?: WatchOptions): Promise<Watch>
  /** Somebody watches the session here until it is closed, as all nodes may ask. Known to them a moment later. */
  attend(sessionId: string): Watch
  /** Whether somebody watches, on whatever node. One that is gone is not counted. */
  isAttended(sessionId: string): Promise<boolean>
  /** Records events of no step, best effort, in order. Batched; never throws to the caller. */
  tell(events: FreeEvent[]): void
  /** More than half of the bound of the event log waits where this session's events do: tell them in fewer, larger ones. */
  isCrowded(sessionId: string): boolean
  /** From one `append` to the next: a call costs more than several steps in it. Longer on a busy thread. */
  readonly pace: { usualMs: number; busyMs: number }
  health(): Promise<HotHealth>
}

export interface HotHealth {
  state: 'up' | 'down'
  reason?: string
  /** Nothing new begins, for too many events wait. */
  full?: boolean
  /** It works, and an operator has something to set right. */
  degraded?: boolean
}

/** Bounds of hot state, from the configuration. */
export interface GenerationsOptions {
  resumeTtlMs: number
  historyTtlMs: number
  /** Events not yet taken from the outbox; over it `begin` answers `full`. Embedded: no outbox, no bound. */
  outboxMaxEvents: number
  outboxMaxBytes: number
}

/** Of hot history, which is also the model's context. */
export const historyMessagesMax = 50
export const historyBytesMax = 256 * 1024
