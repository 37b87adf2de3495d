import { shards } from '#events/murmur2.ts'
import type { Cursor, SessionRef } from '../../generations.ts'
import { historyBytesMax, historyMessagesMax } from '../../generations.ts'
import type { Begin, BeginResult } from '../../steps.ts'
import { type Hot, onSession } from '../hot.ts'
import { pushEvent } from '../outbox.ts'
import { shardOfMessage, shardOfSession } from '../shards.ts'

export interface Beginning {
  /** `last`: the last step that the caller knows of, when it begins again what Redis has lost. */
  begin(step: Begin, last?: Cursor): Promise<BeginResult>
  request(
    session: SessionRef,
    requestId: string,
  ): Promise<{ messageId: string; userMessageId: string; digest: string } | null>
}

export function beginning(hot: Hot): Beginning {
  const { routes, ears, owned } = hot
  function own(step: Begin, epoch: number, seq: number): void {
    const { messageId, session } = step
    if (owned.get(messageId) === undefined) {
      owned.add(routes.base(shardOfSession(session.sessionId)), step)
    }
    owned.place(messageId, epoch, seq)
  }

  async function begin(step: Begin, last?: Cursor): Promise<BeginResult> {
    const { messageId, session } = step
    const { sessionId } = session
    if (shardOfMessage(messageId) !== shardOfSession(sessionId)) {
      throw new Error(`the id of an answer does not name its session's shard: ${messageId}`)
    }
    const reply = await onSession(hot, sessionId, 'begin', argsOf(hot, step, last), messageId)
    const [is, first, second] = reply
    switch (is) {
      case 'applied': {
        const epoch = Number(first)
        const seq = Number(second)
        const { startedFrame: frame } = step
        own(step, epoch, seq)
        ears.steps(sessionId, epoch, [{ type: 'started', seq, messageId, frame }])
        return { is, epoch, seq }
      }
      case 'already':
        // Perhaps its first try came through after all: then it is this process's own.
        if (reply[3] === 1) own(step, Number(reply[4]), Number(reply[5]))
        return { is, messageId: String(first), userMessageId: String(second) }
      case 'busy':
        return { is, messageId: String(first) }
      case 'full':
        return {
          is,
          reason:
            first === 'memory'
              ? 'Redis is short of memory'
              : 'too many events wait for the event log',
        }
      case 'conflict':
      case 'forbidden':
      case 'absent':
        return { is }
      default:
        throw new Error(`not an answer of begin: ${String(is)}`)
    }
  }

  return {
    begin,
    async request(session, requestId) {
      const shard = shardOfSession(session.sessionId)
      const key = `${routes.base(shard)}r:${session.sessionId}:${requestId}`
      const reply = await routes.command(shard, ['HMGET', key, 't', 'u', 'm', 'q', 'd'])
      const [tenantId, userId, messageId, userMessageId, digest] = reply as (string | null)[]
      if (tenantId !== session.tenantId || userId !== session.userId) return null
      return {
        messageId: messageId ?? '',
        userMessageId: userMessageId ?? '',
        digest: digest ?? '',
      }
    },
  }
}

function argsOf(hot: Hot, step: Begin, last?: Cursor): string[] {
  const { session, question } = step
  const { resumeTtlMs, outboxMaxEvents, outboxMaxBytes } = hot.options
  const args = [
    hot.ahead(),
    session.sessionId,
    session.tenantId,
    session.userId,
    step.ifAbsent,
    step.messageId,
    step.userMessageId,
    step.token,
    `${step.leaseMs}`,
    `${step.at}`,
    step.requestId ?? '',
    step.digest,
    step.model,
    step.regenerates ?? '',
    question === undefined ? '' : JSON.stringify(question),
    step.startedFrame,
    `${Math.max(1, Math.ceil(outboxMaxEvents / shards))}`,
    `${Math.max(1, Math.ceil(outboxMaxBytes / shards))}`,
    hot.isMemoryFull(shardOfSession(session.sessionId)) ? '1' : '0',
    `${resumeTtlMs}`,
    `${historyMessagesMax}`,
    `${historyBytesMax}`,
    hot.origin,
  ]
  const before = last ?? hot.owned.get(step.messageId)?.written.last
  args.push(...(before === undefined ? ['', ''] : [`${before.epoch}`, `${before.seq}`]))
  pushEvent(args, step.sessionStarted)
  args.push(`${step.events.length}`)
  for (const event of step.events) pushEvent(args, event)
  return args
}
