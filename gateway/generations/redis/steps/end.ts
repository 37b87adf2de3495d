import {
  historyBytesMax,
  historyMessagesMax,
  type Intent,
  type Outcome,
} from '../../generations.ts'
import type { Claim, ClaimResult, Finish, FinishResult } from '../../steps.ts'
import { generationOf } from '../generation-reply.ts'
import { type Hot, onAnswer, onSession, settleMsOf } from '../hot.ts'
import { pushEvent } from '../outbox.ts'
import { shardOfMessage } from '../shards.ts'

export function claiming(hot: Hot): (step: Claim) => Promise<ClaimResult> {
  const { routes, ears, owned } = hot
  const settleMs = settleMsOf(hot.options)

  return async (step) => {
    const { messageId, intent, token, leaseMs, onlyLapsed = false } = step
    const shard = shardOfMessage(messageId)
    if (shard === null) return { is: 'unknown' }
    // Owners renew first, whatever an older copy of their leases says.
    if (onlyLapsed && routes.of(shard).upForMs < settleMs) return { is: 'alive' }
    const args = [hot.ahead(), messageId, intent, token, `${leaseMs}`, onlyLapsed ? '1' : '0']
    const reply = await onAnswer(hot, shard, 'claim', [...args, hot.origin], messageId)
    const [is, first, second, described, isNew] = reply
    switch (is) {
      case 'claimed': {
        const generation = generationOf(messageId, described)
        const standing = first as Intent
        if (isNew === 1) {
          if (owned.get(messageId)?.token !== token) {
            owned.delete(messageId)
            hot.said.claimed(messageId)
          }
          ears.say(generation.sessionId, { type: 'claimed', messageId, intent: standing })
        }
        return { is, intent: standing, generation, told: Number(second) }
      }
      case 'ended':
        return { is, outcome: first as Outcome, generation: generationOf(messageId, described) }
      case 'wait':
      case 'alive':
      case 'unknown':
        return { is }
      default:
        throw new Error(`not an answer of claim: ${String(is)}`)
    }
  }
}

export function finishing(hot: Hot): (step: Finish) => Promise<FinishResult> {
  const { ears, owned, said } = hot
  const { resumeTtlMs, historyTtlMs } = hot.options

  function argsOf(step: Finish): string[] {
    const args = [
      hot.ahead(),
      step.sessionId,
      step.messageId,
      step.token,
      `${step.next}`,
      step.outcome,
      step.doneFrame,
      JSON.stringify(step.message),
      `${resumeTtlMs}`,
      `${historyTtlMs}`,
      `${historyMessagesMax}`,
      `${historyBytesMax}`,
      hot.origin,
      `${step.runs.length}`,
      `${step.events.length}`,
    ]
    for (const run of step.runs) {
      args.push(`${run.from}`, `${run.to}`)
      pushEvent(args, run.event)
    }
    for (const event of step.events) pushEvent(args, event)
    return args
  }

  return async (step) => {
    const { sessionId, messageId, doneFrame: frame } = step
    const [is, first, second] = await onSession(hot, sessionId, 'finish', argsOf(step), messageId)
    switch (is) {
      case 'applied': {
        const epoch = Number(first)
        const seq = Number(second)
        const written = owned.get(messageId)?.written ?? null
        if (written !== null) written.last = { epoch, seq }
        said.finished(step, written)
        owned.delete(messageId)
        ears.steps(sessionId, epoch, [{ type: 'done', seq, messageId, frame }])
        return { is }
      }
      case 'already':
        if (first === step.outcome) said.finished(step, owned.get(messageId)?.written ?? null)
        owned.delete(messageId)
        return { is, outcome: first as Outcome }
      case 'behind':
        return { is, next: Number(first) }
      case 'told':
        return { is, told: Number(first) }
      case 'refused':
        owned.delete(messageId)
        return { is }
      case 'lost':
        return { is }
      default:
        throw new Error(`not an answer of finish: ${String(is)}`)
    }
  }
}
