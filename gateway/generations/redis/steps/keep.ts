import {
  type ColdSession,
  historyBytesMax,
  historyMessagesMax,
  type SessionRef,
  type Status,
} from '../../generations.ts'
import { groupsOf } from '../groups.ts'
import { type Hot, keysOf } from '../hot.ts'
import { shardOfSession } from '../shards.ts'
import { byTurn } from '../turn.ts'

type Opened = { is: 'open'; epoch: number; seq: number } | { is: 'forbidden' } | { is: 'absent' }

export interface Keeping {
  open(input: { session: SessionRef; ifAbsent: 'ask' | 'create' }): Promise<Opened>
  restore(cold: ColdSession): Promise<void>
  session(sessionId: string): Promise<SessionRef | null>
  setStatus(sessionId: string, messageId: string, status: Status): void
  /** The sessions that are watched here are in use. */
  touchWatched(): Promise<void>
}

const touchesMax = 32
/** Of one call, about 8 us each when they are new. */
const opensMax = 64
/** Of a status, as the script answers; 0: the answer has ended, or nothing is known of it. */
const news = 1
const theSame = 2

export function keeping(hot: Hot): Keeping {
  const { routes, ears, owned, options } = hot
  const common = () => [hot.ahead(), `${options.historyTtlMs}`]
  const open = byTurn(hot, 'open', { max: opensMax, common })

  async function restore(cold: ColdSession): Promise<void> {
    const { sessionId, tenantId, userId, last, hasOlder, messages } = cold
    const args = [
      hot.ahead(),
      sessionId,
      tenantId,
      userId,
      `${last.epoch}`,
      `${last.seq}`,
      hasOlder ? '1' : '0',
      `${options.historyTtlMs}`,
      `${historyMessagesMax}`,
      `${historyBytesMax}`,
      hot.origin,
      `${messages.length}`,
    ]
    for (const message of messages) {
      const { messageId, role, parentMessageId = '', model = '', chunks = 0 } = message
      const isAnswer = role === 'assistant' ? '1' : '0'
      const at = `${Date.parse(message.createdAt)}`
      args.push(messageId, isAnswer, parentMessageId, model, at, `${chunks}`, message.outcome)
      args.push(JSON.stringify(message))
    }
    const shard = shardOfSession(sessionId)
    const answers = messages.filter(({ role }) => role === 'assistant')
    const ids = answers.map(({ messageId }) => messageId)
    const keys = keysOf(routes, shard, sessionId, ids)
    const isNew = await routes.run('restore', shard, args, keys)
    if (isNew === 1) ears.say(sessionId, { type: 'moved' })
  }

  return {
    async open({ session, ifAbsent }) {
      const { sessionId, tenantId, userId } = session
      const [is, epoch, seq] = await open(sessionId, [tenantId, userId, ifAbsent])
      if (is === 'open') return { is, epoch: Number(epoch), seq: Number(seq) }
      return { is: is === 'forbidden' ? 'forbidden' : 'absent' }
    },
    restore,
    async session(sessionId) {
      const shard = shardOfSession(sessionId)
      const key = `${routes.base(shard)}s:${sessionId}`
      const reply = await routes.command(shard, ['HMGET', key, 't', 'u'])
      const [tenantId, userId] = reply as (string | null)[]
      return tenantId == null || userId == null ? null : { sessionId, tenantId, userId }
    },
    setStatus(sessionId, messageId, status) {
      const args = [sessionId, messageId, status, hot.origin]
      const say = () => ears.say(sessionId, { type: 'status', messageId, status })
      routes.run('status', shardOfSession(sessionId), args).then(
        (known) => {
          const answer = owned.get(messageId)
          const isOurs = answer?.isStatusOurs === true
          if (answer !== undefined) answer.isStatusOurs = false
          if (known === news || (known === theSame && isOurs)) say()
        },
        () => {
          // Redis is away, and that is what this says: whoever watches here hears it nonetheless.
          const answer = owned.get(messageId)
          if (answer === undefined) return
          answer.isStatusOurs = true
          say()
        },
      )
    },
    async touchWatched() {
      if (!routes.isKnown) await routes.known()
      const groups = groupsOf(routes, ears.sessions(), touchesMax, shardOfSession)
      for (const { shard, items } of groups) {
        const args = [hot.ahead(), `${options.historyTtlMs}`]
        for (const { item, base } of items) args.push(base, item)
        await routes.run('touch', shard, args)
      }
    },
  }
}
