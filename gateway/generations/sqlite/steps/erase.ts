import type { Erase, EraseResult } from '../../steps.ts'
import type { Hot } from '../hot.ts'
import { dayMs } from '../rows/message-rows.ts'
import { emptyTail, type SessionState } from '../session-state.ts'
import { isOf } from './begin.ts'

interface ErasureRow {
  epoch: number
  seq: number
}

export function erasing(hot: Hot): (step: Erase) => EraseResult {
  const { db, mirror, sessions, messages, log, journal, watchers } = hot
  const select = db.prepare<ErasureRow, [string]>(
    'select epoch, seq from hot_erasures where erasure_id = ?',
  )
  const insert = db.prepare<unknown, (string | number)[]>(
    'insert into hot_erasures (erasure_id, session_id, epoch, seq, at) values (?, ?, ?, ?, ?)',
  )
  const mark = db.prepare<unknown, [number, string]>(
    'update hot_generations set erased = 1, expires_at = ? where session_id = ?',
  )

  function apply(step: Erase, session: SessionState): EraseResult {
    const at = hot.now()
    const { sid, sessionId, epoch, previous } = session
    const seq = session.seq + 1
    for (const [index, event] of step.events.entries()) {
      hot.record(event, { epoch, seq, ...(index === 0 && previous !== null && { previous }) })
    }
    // Its chunks may still stand in rows of the journal that it shares with others.
    if (!journal.isBelow(session.lastJournalId)) {
      for (const generation of mirror.active.values()) log.spill(generation)
      journal.dropBelow(journal.nextId)
    }
    log.dropTo(sid, session.seq)
    messages.erase(sid)
    mark.run(at + dayMs, sessionId)
    log.frame(session, { type: 'erased', seq, frame: step.erasedFrame })
    insert.run(step.erasureId, sessionId, epoch, seq, at)
    const logDueMs = at + hot.options.resumeTtlMs
    Object.assign(session, { seq, previous: null, logFrom: seq, erasedSeq: seq, hasOlder: false })
    Object.assign(session, { usedAtMs: at, logDueMs, ends: [], tail: emptyTail(seq + 1) })
    sessions.save(session)
    const steps = [{ type: 'erased' as const, seq, frame: step.erasedFrame }]
    watchers.say(sessionId, { type: 'steps', epoch, steps })
    return { is: 'applied', epoch, seq }
  }

  return (step) => {
    hot.ready()
    const before = select.get(step.erasureId)
    if (before !== null) return { is: 'already', epoch: before.epoch, seq: before.seq }
    const session = mirror.session(step.session.sessionId)
    if (session === null) return { is: 'absent' }
    if (!isOf(session, step.session)) return { is: 'forbidden' }
    if (session.active !== null) return { is: 'busy', messageId: session.active.messageId }
    return hot.commit(() => apply(step, session))
  }
}
