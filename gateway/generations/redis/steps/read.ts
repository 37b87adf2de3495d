import type {
  Cursor,
  Generation,
  ReadResult,
  Snapshot,
  Status,
  StoredMessage,
} from '../../generations.ts'
import { stepsOfEntries } from '../entries.ts'
import { generationOf } from '../generation-reply.ts'
import { type Hot, onAnswer } from '../hot.ts'
import { shardOfMessage } from '../shards.ts'
import { byTurn } from '../turn.ts'

export interface Reading {
  read(sessionId: string, after: Cursor, maxSteps: number, maxBytes: number): Promise<ReadResult>
  snapshot(sessionId: string): Promise<Snapshot | null>
  find(messageId: string): Promise<Generation | null>
}

/** Of one call: a read may be of thousands of steps, a snapshot of 256 KiB. */
const readsMax = 16
const snapshotsMax = 32

export function reading(hot: Hot): Reading {
  const readAfter = byTurn(hot, 'read', { max: readsMax })
  const snapshot = byTurn(hot, 'snapshot', { max: snapshotsMax })
  return {
    async read(sessionId, after, maxSteps, maxBytes) {
      const args = [`${after.epoch}`, `${after.seq}`, `${maxSteps}`, `${maxBytes}`]
      const reply = await readAfter(sessionId, args)
      switch (reply[0]) {
        case 'absent':
          return { is: 'absent' }
        case 'snapshot':
          return {
            is: 'snapshot',
            reason: reply[1] as Extract<ReadResult, { is: 'snapshot' }>['reason'],
          }
        default: {
          const read = stepsOf(reply, after.seq)
          hot.said.read(read.steps)
          return read
        }
      }
    },
    async snapshot(sessionId) {
      const reply = await snapshot(sessionId, [])
      return reply[0] === 'absent' ? null : snapshotOf(sessionId, reply)
    },
    async find(messageId) {
      const shard = shardOfMessage(messageId)
      if (shard === null) return null
      const reply = await onAnswer(hot, shard, 'find', [messageId], messageId)
      return reply[0] === 'absent' ? null : generationOf(messageId, reply[1])
    },
  }
}

function stepsOf(reply: unknown[], afterSeq: number): Extract<ReadResult, { is: 'steps' }> {
  const [, epoch, top, messageId, status, isForgotten, ownerId, ownerStart, entries = []] = reply
  const active =
    messageId === '' ? null : { messageId: String(messageId), status: status as Status }
  const owner =
    ownerId === '' ? null : { messageId: String(ownerId), startedSeq: Number(ownerStart) }
  return {
    is: 'steps',
    epoch: Number(epoch),
    top: Number(top),
    steps: stepsOfEntries(entries as string[], afterSeq + 1, owner),
    active,
    ...(isForgotten === 1 && { forgotten: true }),
  }
}

function snapshotOf(sessionId: string, reply: unknown[]): Snapshot {
  const [, tenantId, userId, epoch, seq, hasOlder, history, activeId] = reply
  const [userMessageId, model, status, startedSeq] = reply.slice(8)
  return {
    sessionId,
    tenantId: String(tenantId),
    userId: String(userId),
    epoch: Number(epoch),
    seq: Number(seq),
    hasOlder: hasOlder === '1',
    history: (history as string[]).map(
      (entry) => JSON.parse(entry.slice(entry.indexOf(' ') + 1)) as StoredMessage,
    ),
    active:
      activeId === ''
        ? null
        : {
            messageId: String(activeId),
            userMessageId: String(userMessageId),
            model: String(model),
            status: status as Status,
            startedSeq: Number(startedSeq),
          },
  }
}
