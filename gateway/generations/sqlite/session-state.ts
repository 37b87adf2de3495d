import type { Cursor, Intent, SessionRef, Status } from '../generations.ts'

/** The newest chunks of an active answer, in the journal but not yet in the log. Parallel arrays: no object a chunk. */
export interface Tail {
  /** Of the first chunk in it; one above the session's top when it is empty. */
  fromSeq: number
  codes: number[]
  texts: string[]
  /** UTF-16 units. */
  length: number
  /** The journal row of its first chunk; 0 when it is empty. */
  journalId: number
}

/** A session as this process knows it; what SQLite has is the same but for `seq` and `tail` of an active one. */
export interface SessionState extends SessionRef {
  sid: number
  epoch: number
  seq: number
  /** Until the first step of this epoch: the last one known of the epoch before. */
  previous: Cursor | null
  active: ActiveGeneration | null
  /** Its first message has been told. */
  begun: boolean
  usedAtMs: number
  /** The first step that is kept; one above the top when none is. */
  logFrom: number
  /** When the log goes; null while an answer is active or nothing is kept. */
  logDueMs: number | null
  /** Steps that ended answers, some of the last few, and when: what the log may be cut behind. */
  ends: { seq: number; at: number }[]
  /** The step of the last erasure; 0: none in this epoch. */
  erasedSeq: number
  hasOlder: boolean
  tail: Tail
  /** The last journal row that holds text of it. */
  lastJournalId: number
}

export interface ActiveGeneration {
  session: SessionState
  messageId: string
  userMessageId: string
  model: string
  createdAtMs: number
  startedSeq: number
  next: number
  told: number
  token: string
  intent: Intent | null
  claimedAtMs: number
  leaseUntilMs: number
  status: Status
  requestId: string | null
  regenerates: string | null
}

export function emptyTail(fromSeq: number): Tail {
  return { fromSeq, codes: [], texts: [], length: 0, journalId: 0 }
}
