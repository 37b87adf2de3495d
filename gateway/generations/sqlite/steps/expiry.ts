import type { Hot } from '../hot.ts'
import { dayMs } from '../rows/message-rows.ts'
import type { SessionState } from '../session-state.ts'

/** Sessions, and rows of each other kind, that one sweep looks at: the main thread stands still meanwhile. */
const batchMax = 50
/** Chunks this old leave the journal, so that a slow answer does not hold the rows of all others. */
const journalMs = 10_000

/** Forgets what is over its time. Each look finds what is due by an index, whatever else there is. */
export function expiring(hot: Hot): () => { isAll: boolean } {
  const { db, mirror, sessions, log, journal, messages, watchers, options } = hot
  const dueSessions = db.prepare<{ session_id: string }, [number, number]>(
    'select session_id from hot_sessions where due_at <= ? order by due_at limit ?',
  )
  const expireGenerations = db.prepare<unknown, [number, number, string]>(`
    update hot_generations set expires_at = max(begun_at + ?, ?) where session_id = ? and expires_at is null`)
  const dropGenerations = db.prepare<unknown, [number, number]>(`
    delete from hot_generations where message_id in
      (select message_id from hot_generations where expires_at <= ? limit ?)`)
  const dropErasures = db.prepare<unknown, [number, number]>(`
    delete from hot_erasures where erasure_id in
      (select erasure_id from hot_erasures where at <= ? limit ?)`)
  const marks: { id: number; at: number }[] = []

  function forget(session: SessionState, now: number): void {
    const { sid, sessionId } = session
    log.dropTo(sid, session.seq)
    messages.erase(sid)
    expireGenerations.run(dayMs, now, sessionId)
    sessions.forget(sessionId)
    mirror.forget(sessionId)
  }

  function look(session: SessionState, now: number): void {
    if (session.active !== null) return
    if (session.usedAtMs + options.historyTtlMs <= now) {
      if (!watchers.has(session.sessionId)) {
        forget(session, now)
        return
      }
      session.usedAtMs = now
    }
    if (session.logDueMs !== null && session.logDueMs <= now) {
      log.dropTo(session.sid, session.seq)
      Object.assign(session, { logDueMs: null, ends: [], logFrom: session.seq + 1 })
    }
    sessions.save(session)
  }

  // What was written before the newest mark that is old enough goes to the log, then from the journal.
  function emptyJournal(now: number): void {
    let below = 0
    while (marks[0] !== undefined && marks[0].at <= now - journalMs) below = marks.shift()?.id ?? 0
    if (marks.at(-1)?.id !== journal.nextId) marks.push({ id: journal.nextId, at: now })
    if (below === 0) return
    for (const generation of mirror.active.values()) {
      const { tail } = generation.session
      if (tail.codes.length > 0 && tail.journalId < below) log.spill(generation)
    }
    journal.dropBelow(below)
  }

  return () => {
    const now = hot.now()
    let isAll = true
    hot.commit(() => {
      const due = dueSessions.all(now, batchMax)
      isAll = due.length < batchMax
      for (const { session_id: sessionId } of due) {
        const session = mirror.session(sessionId)
        if (session !== null) look(session, now)
      }
      const changes = [
        dropGenerations.run(now, batchMax).changes,
        dropErasures.run(now - dayMs, batchMax).changes,
      ]
      isAll &&= changes.every((count) => count < batchMax)
      emptyJournal(now)
    })
    mirror.trim(watchers.has)
    return { isAll }
  }
}
