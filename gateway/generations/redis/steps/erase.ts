import type { Erase, EraseResult } from '../../steps.ts'
import { type Hot, onSession } from '../hot.ts'
import { pushEvent } from '../outbox.ts'

export function erasing(hot: Hot): (step: Erase) => Promise<EraseResult> {
  const { resumeTtlMs, historyTtlMs } = hot.options

  return async (step) => {
    const { sessionId, tenantId, userId } = step.session
    const args = [
      hot.ahead(),
      sessionId,
      tenantId,
      userId,
      step.erasureId,
      step.erasedFrame,
      `${resumeTtlMs}`,
      `${historyTtlMs}`,
      hot.origin,
      `${step.events.length}`,
    ]
    for (const event of step.events) pushEvent(args, event)
    const [is, first, second] = await onSession(hot, sessionId, 'erase', args)
    switch (is) {
      case 'applied':
      case 'already': {
        const epoch = Number(first)
        const seq = Number(second)
        hot.said.erased(step)
        if (is === 'applied') {
          hot.ears.steps(sessionId, epoch, [{ type: 'erased', seq, frame: step.erasedFrame }])
        }
        return { is, epoch, seq }
      }
      case 'busy':
        return { is, messageId: String(first) }
      case 'absent':
      case 'forbidden':
        return { is }
      default:
        throw new Error(`not an answer of erase: ${String(is)}`)
    }
  }
}
