import type { SessionRef } from '../../generations.ts'
import type { Begin, BeginResult } from '../../steps.ts'
import type { Hot } from '../hot.ts'
import { dayMs } from '../rows/message-rows.ts'
import type { ActiveGeneration, SessionState } from '../session-state.ts'

export interface Beginning {
  begin(step: Begin): BeginResult
  request(
    session: SessionRef,
    requestId: string,
  ): { messageId: string; userMessageId: string; digest: string } | null
}

export function beginning(hot: Hot): Beginning {
  const { mirror, sessions, generations, messages, log, watchers } = hot
  function request(session: SessionRef, requestId: string) {
    const row = generations.request(session, requestId, hot.now() - dayMs)
    if (row === null) return null
    const { message_id: messageId, user_message_id: userMessageId, digest } = row
    return { messageId, userMessageId, digest: digest ?? '' }
  }

  function known(step: Begin): BeginResult | null {
    const first = step.requestId === undefined ? null : request(step.session, step.requestId)
    if (first !== null && first.digest !== step.digest) return { is: 'conflict' }
    if (first !== null) return { is: 'already', ...idsOf(first) }
    const same = mirror.active.get(step.messageId)
    if (same !== undefined) return { is: 'already', ...idsOf(same) }
    const ended = generations.load(step.messageId)
    if (ended === null) return null
    return { is: 'already', messageId: ended.message_id, userMessageId: ended.user_message_id }
  }

  function apply(step: Begin, session: SessionState): BeginResult {
    const at = hot.now()
    const seq = session.seq + 1
    const { question, startedFrame: frame, messageId } = step
    dropOldLog(session, at)
    const generation = newGeneration(step, session, at)
    generations.insert(generation, step.digest, at)
    const first = session.begun ? [] : [step.sessionStarted]
    const previous = session.previous
    for (const [index, event] of [...first, ...step.events].entries()) {
      const closing = { epoch: session.epoch, seq }
      hot.record(event, index === 0 && previous !== null ? { ...closing, previous } : closing)
    }
    if (question !== undefined) messages.insert(session, seq, question)
    const hasOlder = messages.trim(session.sid) || session.hasOlder
    log.frame(session, { type: 'started', seq, messageId, frame })
    Object.assign(session, { seq, previous: null, active: generation, begun: true, hasOlder })
    Object.assign(session, { usedAtMs: at, logDueMs: null })
    session.tail.fromSeq = seq + 1
    sessions.save(session)
    mirror.active.set(messageId, generation)
    const steps = [{ type: 'started' as const, seq, messageId, frame }]
    watchers.say(session.sessionId, { type: 'steps', epoch: session.epoch, steps })
    return { is: 'applied', epoch: session.epoch, seq }
  }

  // A session that is never idle for long would else keep its log for good.
  function dropOldLog(session: SessionState, at: number): void {
    const until = at - hot.options.resumeTtlMs
    const seq = session.ends.findLast((end) => end.at <= until)?.seq ?? 0
    session.ends = session.ends.filter((end) => end.at > until)
    if (seq < session.logFrom) return
    log.dropTo(session.sid, seq)
    session.logFrom = seq + 1
  }

  function begin(step: Begin): BeginResult {
    hot.ready()
    const before = known(step)
    if (before !== null) return before
    const session = mirror.session(step.session.sessionId)
    if (session === null && step.ifAbsent === 'ask') {
      if (sessions.mayBeKnown(step.session.sessionId)) return { is: 'absent' }
    }
    if (session !== null && !isOf(session, step.session)) return { is: 'forbidden' }
    if (session !== null && session.active !== null) {
      return { is: 'busy', messageId: session.active.messageId }
    }
    return hot.commit(() => {
      const used = session ?? sessions.insert(step.session, hot.now())
      mirror.add(used)
      return apply(step, used)
    })
  }

  return { begin, request }
}

export function isOf(session: SessionRef, who: SessionRef): boolean {
  return session.userId === who.userId && session.tenantId === who.tenantId
}

function idsOf({ messageId, userMessageId }: { messageId: string; userMessageId: string }) {
  return { messageId, userMessageId }
}

function newGeneration(step: Begin, session: SessionState, now: number): ActiveGeneration {
  return {
    session,
    messageId: step.messageId,
    userMessageId: step.userMessageId,
    model: step.model,
    createdAtMs: step.at,
    startedSeq: session.seq + 1,
    next: 0,
    told: 0,
    token: step.token,
    intent: null,
    claimedAtMs: 0,
    leaseUntilMs: now + step.leaseMs,
    status: 'queued',
    requestId: step.requestId ?? null,
    regenerates: step.regenerates ?? null,
  }
}
