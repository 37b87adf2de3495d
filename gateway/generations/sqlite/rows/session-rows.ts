import type { Database } from 'bun:sqlite'
import type { SessionRef } from '../../generations.ts'
import type { HotOptions } from '../hot.ts'
import { emptyTail, type SessionState } from '../session-state.ts'

interface SessionRow {
  sid: number
  session_id: string
  tenant_id: string
  user_id: string
  epoch: number
  seq: number
  previous_epoch: number | null
  previous_seq: number | null
  active: string | null
  begun: number
  used_at: number
  log_from: number
  log_due: number | null
  ends: string
  erased_seq: number
  has_older: number
}

/** Sessions as rows. */
export interface SessionRows {
  load(sessionId: string): SessionState | null
  /** The ids of active answers. */
  active(): string[]
  /** A new one, under an epoch that no session ever had; its state is to be saved in the same transaction. */
  insert(session: SessionRef, now: number, from?: Partial<SessionState>): SessionState
  save(session: SessionState): void
  /** It goes; that it was there is kept. */
  forget(sessionId: string): void
  /** Whether Postgres may know a session that isn't here: it was here once, or the file hasn't seen all of them. */
  mayBeKnown(sessionId: string): boolean
}

const columns = `sid, session_id, tenant_id, user_id, epoch, seq, previous_epoch, previous_seq, active, begun, used_at,
  log_from, log_due, ends, erased_seq, has_older`

export function createSessionRows(db: Database, options: HotOptions): SessionRows {
  const select = db.prepare<SessionRow, [string]>(
    `select ${columns} from hot_sessions where session_id = ?`,
  )
  const selectActive = db.prepare<{ active: string }, []>(
    'select active from hot_sessions where active is not null',
  )
  const add = db.prepare<unknown, (string | number | null)[]>(`
    insert into hot_sessions (session_id, sid, tenant_id, user_id, epoch, seq, begun, used_at, log_from, ends, erased_seq,
      has_older) values (?, ?, ?, ?, ?, 0, 0, ?, 1, '[]', 0, 0)`)
  const update = db.prepare<unknown, (string | number | null)[]>(`
    update hot_sessions set seq = ?, previous_epoch = ?, previous_seq = ?, active = ?, begun = ?, used_at = ?,
      log_from = ?, log_due = ?, ends = ?, erased_seq = ?, has_older = ?, due_at = ? where session_id = ?`)
  const drop = db.prepare<unknown, [string]>('delete from hot_sessions where session_id = ?')
  const remember = db.prepare<unknown, [string]>('insert or ignore into hot_forgotten values (?)')
  const selectForgotten = db.prepare<unknown, [string]>(
    'select 1 from hot_forgotten where session_id = ?',
  )
  const nextEpoch = epochs(db)
  const last = db.prepare<{ sid: number | null }, []>('select max(sid) as sid from hot_sessions')
  // One that a transaction took back is not used again.
  let lastSid = last.get()?.sid ?? 0

  function dueAt(session: SessionState): number | null {
    if (session.active !== null) return null
    const goes = session.usedAtMs + options.historyTtlMs
    return session.logDueMs === null ? goes : Math.min(goes, session.logDueMs)
  }

  function save(session: SessionState): void {
    const { seq, previous, active, begun, usedAtMs, logFrom, logDueMs, ends, erasedSeq } = session
    update.run(
      seq,
      previous?.epoch ?? null,
      previous?.seq ?? null,
      active?.messageId ?? null,
      Number(begun),
      usedAtMs,
      logFrom,
      logDueMs,
      JSON.stringify(ends),
      erasedSeq,
      Number(session.hasOlder),
      dueAt(session),
      session.sessionId,
    )
  }

  return {
    load(sessionId) {
      const row = select.get(sessionId)
      return row === null ? null : stateOf(row)
    },
    active: () => selectActive.all().map(({ active }) => active),
    insert(session, now, from = {}) {
      const { sessionId, tenantId, userId } = session
      const epoch = nextEpoch(Math.max(now * 1000, (from.epoch ?? 0) + 1))
      lastSid += 1
      add.run(sessionId, lastSid, tenantId, userId, epoch, now)
      return { ...newState(lastSid, session, now), ...from, epoch }
    },
    save,
    forget(sessionId) {
      remember.run(sessionId)
      drop.run(sessionId)
    },
    mayBeKnown: (sessionId) => !options.seesAll || selectForgotten.get(sessionId) !== null,
  }
}

/** Written ahead of use, so that not every new session costs a write; a start skips what is left. */
const epochsAhead = 60_000_000

/** Epochs that only grow, whatever the clock does; at least `wanted`. Inside a transaction. */
function epochs(db: Database): (wanted: number) => number {
  const select = db.prepare<{ value: number }, []>(
    `select value from hot_meta where name = 'epoch'`,
  )
  const write = db.prepare<unknown, [number]>(
    `insert into hot_meta values ('epoch', ?) on conflict (name) do update set value = excluded.value`,
  )
  let last = select.get()?.value ?? 0
  return (wanted) => {
    last = Math.max(wanted, last + 1)
    // Read, not remembered: a transaction that failed has taken it back.
    if (last > (select.get()?.value ?? 0)) write.run(last + epochsAhead)
    return last
  }
}

function newState(sid: number, session: SessionRef, now: number): SessionState {
  return {
    sid,
    sessionId: session.sessionId,
    tenantId: session.tenantId,
    userId: session.userId,
    epoch: 0,
    seq: 0,
    previous: null,
    active: null,
    begun: false,
    usedAtMs: now,
    logFrom: 1,
    logDueMs: null,
    ends: [],
    erasedSeq: 0,
    hasOlder: false,
    tail: emptyTail(1),
    lastJournalId: 0,
  }
}

function stateOf(row: SessionRow): SessionState {
  const session = { sessionId: row.session_id, tenantId: row.tenant_id, userId: row.user_id }
  return {
    ...newState(row.sid, session, row.used_at),
    epoch: row.epoch,
    seq: row.seq,
    previous:
      row.previous_epoch === null || row.previous_seq === null
        ? null
        : { epoch: row.previous_epoch, seq: row.previous_seq },
    begun: row.begun === 1,
    logFrom: row.log_from,
    logDueMs: row.log_due,
    ends: JSON.parse(row.ends) as SessionState['ends'],
    erasedSeq: row.erased_seq,
    hasOlder: row.has_older === 1,
    tail: emptyTail(row.seq + 1),
  }
}
