import type { Claim, ClaimResult, Finish, FinishResult } from '../../steps.ts'
import type { Hot } from '../hot.ts'
import { describeActive } from '../rows/generation-rows.ts'
import { type ActiveGeneration, emptyTail } from '../session-state.ts'
import { isRow, recordRuns } from './append.ts'

/** Of a session's ends, about this many are kept. */
const endsMax = 16

/** A claim younger than this is at work. */
const claimMs = 500

export function claiming(hot: Hot): (step: Claim) => ClaimResult {
  const { mirror, generations, watchers } = hot

  return (step) => {
    hot.ready()
    const generation = mirror.active.get(step.messageId)
    if (generation === undefined) {
      const row = generations.load(step.messageId)
      if (row === null || row.outcome === null) return { is: 'unknown' }
      return { is: 'ended', outcome: row.outcome, generation: generations.describe(row) }
    }
    const { token, intent: first, told } = generation
    if (token === step.token && first !== null) {
      return { is: 'claimed', intent: first, generation: describeActive(generation), told }
    }
    const now = hot.now()
    const isOwned = generation.leaseUntilMs > now
    if (token !== step.token) {
      if (step.onlyLapsed === true && isOwned) return { is: 'alive' }
      if (first !== null && isOwned && now - generation.claimedAtMs < claimMs) return { is: 'wait' }
    }
    const intent = first ?? step.intent
    hot.commit(() => {
      generations.claim(step.messageId, step.token, intent)
      const leaseUntilMs = now + step.leaseMs
      Object.assign(generation, { token: step.token, intent, claimedAtMs: now, leaseUntilMs })
      const { messageId, session } = generation
      watchers.say(session.sessionId, { type: 'claimed', messageId, intent })
    })
    return { is: 'claimed', intent, generation: describeActive(generation), told: generation.told }
  }
}

export function finishing(hot: Hot): (step: Finish) => FinishResult {
  const { mirror, sessions, generations, messages, log, watchers } = hot

  function apply(step: Finish, generation: ActiveGeneration): void {
    const { session } = generation
    const { messageId, doneFrame: frame, outcome, next } = step
    const at = hot.now()
    recordRuns(hot, generation, step.runs)
    log.spill(generation)
    const seq = session.seq + 1
    for (const event of step.events) hot.record(event, { epoch: session.epoch, seq })
    log.frame(session, { type: 'done', seq, messageId, frame })
    generations.finish(messageId, { pos: seq, next, outcome })
    messages.insert(session, seq, step.message)
    const hasOlder = messages.trim(session.sid) || session.hasOlder
    const logDueMs = at + hot.options.resumeTtlMs
    // An end that is left out goes with a later one.
    const since = at - (session.ends.at(-1)?.at ?? 0)
    if (since >= hot.options.resumeTtlMs / endsMax) session.ends.push({ seq, at })
    Object.assign(session, { seq, active: null, hasOlder, usedAtMs: at, logDueMs })
    session.tail = emptyTail(seq + 1)
    sessions.save(session)
    mirror.active.delete(messageId)
    const steps = [{ type: 'done' as const, seq, messageId, frame }]
    watchers.say(session.sessionId, { type: 'steps', epoch: session.epoch, steps })
  }

  function ended(step: Finish): FinishResult {
    const row = generations.load(step.messageId)
    if (row === null || row.outcome === null) return { is: 'lost' }
    if (row.token !== step.token) return { is: 'refused' }
    return { is: 'already', outcome: row.outcome }
  }

  return (step) => {
    hot.ready()
    const generation = mirror.active.get(step.messageId)
    if (generation === undefined) return ended(step)
    const { token, next, told } = generation
    if (token !== step.token) return { is: 'refused' }
    if (step.next !== next) return { is: 'behind', next }
    const last = step.runs.at(-1)?.to ?? told
    if (last !== next || !isRow(step.runs, told, next)) return { is: 'told', told }
    hot.commit(() => apply(step, generation))
    return { is: 'applied' }
  }
}
