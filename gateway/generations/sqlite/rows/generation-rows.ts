import type { Database } from 'bun:sqlite'
import type { Generation, Intent, Outcome, SessionRef, StoredMessage } from '../../generations.ts'
import type { ActiveGeneration } from '../session-state.ts'

export interface GenerationRow {
  message_id: string
  session_id: string
  tenant_id: string
  user_id: string
  user_message_id: string
  model: string
  created_at: number
  epoch: number
  started_seq: number
  next: number
  told: number
  token: string
  intent: Intent | null
  outcome: Outcome | null
  message_pos: number | null
  request_id: string | null
  digest: string | null
  regenerates: string | null
  erased: number
}

/** Of a message that came back from Postgres: the epoch that Postgres knows, and where in hot history it stands. */
interface Place {
  epoch: number
  pos: number
  now: number
}

/** Answers as rows: an active one, and its tombstone for as long as an idempotency key. */
export interface GenerationRows {
  load(messageId: string): GenerationRow | null
  /** The answer to a request that was accepted after `since`. */
  request(session: SessionRef, requestId: string, since: number): GenerationRow | null
  insert(generation: ActiveGeneration, digest: string, now: number): void
  /** A tombstone of an answer that ended before this store knew it. */
  insertEnded(session: SessionRef, message: StoredMessage, place: Place): void
  tell(messageId: string, told: number): void
  claim(messageId: string, token: string, intent: Intent): void
  finish(messageId: string, end: { pos: number; next: number; outcome: Outcome }): void
  /** With its message while that is hot. */
  describe(row: GenerationRow): Generation
}

const columns = `message_id, session_id, tenant_id, user_id, user_message_id, model, created_at, epoch, started_seq, next,
  told, token, intent, outcome, message_pos, request_id, digest, regenerates, erased`

export function createGenerationRows(db: Database): GenerationRows {
  type Values = (string | number | null)[]
  const select = db.prepare<GenerationRow, [string]>(
    `select ${columns} from hot_generations where message_id = ?`,
  )
  const selectRequest = db.prepare<GenerationRow, Values>(`
    select ${columns} from hot_generations
    where session_id = ? and request_id = ? and tenant_id = ? and user_id = ? and begun_at > ?
    order by begun_at desc limit 1`)
  const add = db.prepare<unknown, Values>(`
    insert into hot_generations (message_id, session_id, tenant_id, user_id, user_message_id, model, created_at, begun_at,
      epoch, started_seq, next, told, token, request_id, digest, regenerates, erased)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, 0)`)
  const addEnded = db.prepare<unknown, Values>(`
    insert into hot_generations (message_id, session_id, tenant_id, user_id, user_message_id, model, created_at, begun_at,
      epoch, started_seq, next, told, token, outcome, message_pos, erased)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, '', ?, ?, 0)
    on conflict (message_id) do update set message_pos = excluded.message_pos, expires_at = null`)
  const updateTold = db.prepare<unknown, [number, string]>(
    'update hot_generations set told = ? where message_id = ?',
  )
  const updateClaim = db.prepare<unknown, [string, Intent, string]>(
    `update hot_generations set token = ?, intent = ? where message_id = ?`,
  )
  const updateEnd = db.prepare<unknown, Values>(`
    update hot_generations set message_pos = ?, next = ?, told = ?, outcome = ? where message_id = ?`)
  const message = db.prepare<{ body: string }, [string, number, string]>(`
    select body from hot_messages where sid = (select sid from hot_sessions where session_id = ?)
      and pos = ? and message_id = ?`)

  return {
    load: (messageId) => select.get(messageId),
    request({ sessionId, tenantId, userId }, requestId, since) {
      return selectRequest.get(sessionId, requestId, tenantId, userId, since)
    },
    insert(generation, digest, now) {
      const { session, messageId, userMessageId, model, createdAtMs, startedSeq } = generation
      const { sessionId, tenantId, userId, epoch } = session
      const who = [messageId, sessionId, tenantId, userId, userMessageId, model]
      const { token, requestId, regenerates } = generation
      add.run(...who, createdAtMs, now, epoch, startedSeq, token, requestId, digest, regenerates)
    },
    insertEnded(session, stored, { epoch, pos, now }) {
      const { messageId, parentMessageId = '', model = '', chunks = 0, outcome } = stored
      const who = [messageId, session.sessionId, session.tenantId, session.userId, parentMessageId]
      const createdAt = Date.parse(stored.createdAt)
      addEnded.run(...who, model, createdAt, now, epoch, chunks, chunks, outcome, pos)
    },
    tell(messageId, told) {
      updateTold.run(told, messageId)
    },
    claim(messageId, token, intent) {
      updateClaim.run(token, intent, messageId)
    },
    finish(messageId, { pos, next, outcome }) {
      updateEnd.run(pos, next, next, outcome, messageId)
    },
    describe(row) {
      const { session_id, message_pos, message_id } = row
      const stored = message_pos === null ? null : message.get(session_id, message_pos, message_id)
      return {
        sessionId: row.session_id,
        tenantId: row.tenant_id,
        userId: row.user_id,
        messageId: row.message_id,
        userMessageId: row.user_message_id,
        model: row.model,
        createdAtMs: row.created_at,
        epoch: row.epoch,
        startedSeq: row.started_seq,
        next: row.next,
        status: row.outcome === null ? 'queued' : 'finished',
        ...(row.request_id !== null && { requestId: row.request_id }),
        ...(row.regenerates !== null && { regenerates: row.regenerates }),
        ...(row.outcome !== null && { outcome: row.outcome }),
        ...(stored !== null && { message: JSON.parse(stored.body) as StoredMessage }),
        erased: row.erased === 1,
      }
    },
  }
}

/** An active answer, as its viewers are told. */
export function describeActive(generation: ActiveGeneration): Generation {
  const { session, requestId, regenerates } = generation
  return {
    sessionId: session.sessionId,
    tenantId: session.tenantId,
    userId: session.userId,
    messageId: generation.messageId,
    userMessageId: generation.userMessageId,
    model: generation.model,
    createdAtMs: generation.createdAtMs,
    epoch: session.epoch,
    startedSeq: generation.startedSeq,
    next: generation.next,
    status: generation.status,
    ...(requestId !== null && { requestId }),
    ...(regenerates !== null && { regenerates }),
    erased: false,
  }
}
