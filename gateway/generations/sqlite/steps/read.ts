import type { Cursor, Generation, LogStep, ReadResult, Snapshot } from '../../generations.ts'
import type { Hot } from '../hot.ts'
import { describeActive } from '../rows/generation-rows.ts'
import { chunkStep, stepsOfRow } from '../rows/log-rows.ts'
import type { SessionState } from '../session-state.ts'

export interface Reading {
  read(sessionId: string, after: Cursor, maxSteps: number, maxBytes: number): ReadResult
  snapshot(sessionId: string): Snapshot | null
  find(messageId: string): Generation | null
}

/** Rows of the log that are fetched in one go. */
const pageRows = 8
/** What a step weighs besides its text. */
const stepBytes = 16

export function reading(hot: Hot): Reading {
  const { mirror, generations, messages, log } = hot

  function* stepsFrom(session: SessionState, first: number): Generator<LogStep> {
    const { sid, tail } = session
    let seq = first
    while (seq < tail.fromSeq) {
      const rows = log.page(sid, seq, pageRows)
      for (const row of rows) {
        if (row.seq > seq) break
        yield* stepsOfRow(row, seq)
        seq = row.to_seq + 1
      }
      if (rows.length < pageRows) break
    }
    const { active } = session
    if (active === null || seq < tail.fromSeq) return
    for (let at = seq - tail.fromSeq; at < tail.codes.length; at += 1) {
      const stepSeq = tail.fromSeq + at
      const chunkIndex = stepSeq - active.startedSeq - 1
      const place = { seq: stepSeq, messageId: active.messageId, chunkIndex }
      yield chunkStep(place, tail.codes[at] ?? 0, tail.texts[at] ?? '')
    }
  }

  function read(sessionId: string, after: Cursor, maxSteps: number, maxBytes: number): ReadResult {
    hot.ready()
    const session = mirror.session(sessionId)
    if (session === null) return { is: 'absent' }
    const reason = refusal(session, after)
    if (reason !== null) return { is: 'snapshot', reason }
    const steps: LogStep[] = []
    let bytes = 0
    if (after.seq < session.seq) {
      for (const step of stepsFrom(session, after.seq + 1)) {
        bytes += stepBytes + (step.type === 'chunk' ? step.text.length : step.frame.length)
        if (steps.length > 0 && bytes > maxBytes) break
        steps.push(step)
        if (steps.length >= maxSteps) break
      }
      // Whole or refused: a cursor that is not at the top has a next step.
      if (steps.length === 0) return { is: 'snapshot', reason: 'expired' }
    }
    const { epoch, seq: top, active, logFrom } = session
    return {
      is: 'steps',
      epoch,
      top,
      steps,
      active: active === null ? null : { messageId: active.messageId, status: active.status },
      ...(after.seq === top && logFrom > top && top > 0 && { forgotten: true }),
    }
  }

  function snapshot(sessionId: string): Snapshot | null {
    hot.ready()
    const session = mirror.session(sessionId)
    if (session === null) return null
    const { tenantId, userId, epoch, seq, hasOlder, active } = session
    const history = messages.all(session.sid)
    const base = { sessionId, tenantId, userId, epoch, seq, history, hasOlder }
    if (active === null) return { ...base, active }
    const { messageId, userMessageId, model, status, startedSeq } = active
    return { ...base, active: { messageId, userMessageId, model, status, startedSeq } }
  }

  function find(messageId: string): Generation | null {
    hot.ready()
    const active = mirror.active.get(messageId)
    if (active !== undefined) return describeActive(active)
    const row = generations.load(messageId)
    return row === null ? null : generations.describe(row)
  }

  return { read, snapshot, find }
}

/** The first reason that holds why the steps after a cursor can't be had whole. */
function refusal(session: SessionState, after: Cursor) {
  const { epoch, seq, erasedSeq, logFrom } = session
  if (after.epoch !== epoch) return 'epoch'
  if (after.seq > seq) return 'ahead'
  if (after.seq < erasedSeq - 1) return 'erased'
  return after.seq < logFrom - 1 ? 'expired' : null
}
