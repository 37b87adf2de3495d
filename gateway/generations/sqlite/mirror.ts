import type { GenerationRow, GenerationRows } from './rows/generation-rows.ts'
import { type Journal, pushChunk } from './rows/journal.ts'
import type { LogRows } from './rows/log-rows.ts'
import type { SessionRows } from './rows/session-rows.ts'
import { type ActiveGeneration, emptyTail, type SessionState } from './session-state.ts'

/**
 * What this process knows without asking SQLite: every session with an active answer, and those lately used. The file has
 * one owner, so nothing else changes it.
 */
export interface Mirror {
  readonly active: Map<string, ActiveGeneration>
  session(sessionId: string): SessionState | null
  add(session: SessionState): void
  forget(sessionId: string): void
  /** From SQLite alone, the journal emptied into the log. Inside a transaction. */
  rebuild(): void
  /** Lets go of the longest unused over the bound. */
  trim(isWatched: (sessionId: string) => boolean): void
}

const sessionsMax = 10_000

interface Rows {
  sessions: SessionRows
  generations: GenerationRows
  log: LogRows
  journal: Journal
}

export function createMirror({ sessions: rows, generations, log, journal }: Rows): Mirror {
  const sessions = new Map<string, SessionState>()
  const active = new Map<string, ActiveGeneration>()

  function loadActive(row: GenerationRow, before: ActiveGeneration | undefined): void {
    const session = rows.load(row.session_id)
    if (session === null) throw new Error(`an active answer without its session: ${row.message_id}`)
    const top = log.top(session.sid)
    session.seq = Math.max(session.seq, top?.seq ?? 0)
    session.tail = emptyTail(session.seq + 1)
    const generation: ActiveGeneration = {
      session,
      messageId: row.message_id,
      userMessageId: row.user_message_id,
      model: row.model,
      createdAtMs: row.created_at,
      startedSeq: row.started_seq,
      next: session.seq - row.started_seq,
      told: Math.max(row.told, top?.told ?? 0),
      token: row.token,
      intent: row.intent,
      // A lease is this process's own: the owner of a former one died with it.
      claimedAtMs: before?.claimedAtMs ?? 0,
      leaseUntilMs: before?.leaseUntilMs ?? 0,
      status: before?.status ?? 'queued',
      requestId: row.request_id,
      regenerates: row.regenerates,
    }
    session.active = generation
    sessions.set(session.sessionId, session)
    active.set(generation.messageId, generation)
  }

  function load(sessionId: string): SessionState | null {
    const session = rows.load(sessionId)
    // Rows of the journal may hold text of it from before it was let go.
    if (session !== null) session.lastJournalId = journal.nextId - 1
    return session
  }

  function replayJournal(): void {
    const bySid = new Map([...active.values()].map((each) => [each.session.sid, each]))
    journal.replay(({ sid, seq, told, chunks }) => {
      const generation = bySid.get(sid)
      // Below the top: in the log already. Entries of answers that ended are all in the log.
      if (generation === undefined || seq !== generation.session.seq + 1) return
      generation.told = Math.max(generation.told, told)
      for (const { code, text } of chunks) pushChunk(generation, code, text, journal.nextId)
    })
    for (const generation of active.values()) log.spill(generation)
    journal.dropBelow(journal.nextId)
  }

  return {
    active,
    session(sessionId) {
      const known = sessions.get(sessionId) ?? load(sessionId)
      if (known !== null) {
        // The order of the map is the order of use.
        sessions.delete(sessionId)
        sessions.set(sessionId, known)
      }
      return known
    },
    add(session) {
      sessions.set(session.sessionId, session)
    },
    forget(sessionId) {
      sessions.delete(sessionId)
    },
    rebuild() {
      const before = new Map(active)
      sessions.clear()
      active.clear()
      for (const messageId of rows.active()) {
        const row = generations.load(messageId)
        if (row === null) throw new Error(`a session without its active answer: ${messageId}`)
        loadActive(row, before.get(messageId))
      }
      replayJournal()
    },
    trim(isWatched) {
      let over = sessions.size - sessionsMax
      for (const session of sessions.values()) {
        if (over <= 0) return
        if (session.active === null && !isWatched(session.sessionId)) {
          sessions.delete(session.sessionId)
          over -= 1
        }
      }
    },
  }
}
