import { Runs } from '../../chat/answers/runs.ts'
import type { OpenEvent, Run } from '../steps.ts'
import { chunkOf } from './entries.ts'
import { type Hot, keysOf } from './hot.ts'
import { pushEvent } from './outbox.ts'
import { shardOfSession } from './shards.ts'

const triesMax = 5

/**
 * Redis has another life, so steps of the session may be lost that somebody has seen: it goes on under a new epoch, in
 * which no cursor from before holds. What its chunks of before had not told is told first, under the old epoch.
 */
export function renewing(hot: Omit<Hot, 'renewLife'>): (sessionId: string) => Promise<void> {
  const underWay = new Map<string, Promise<void>>()

  async function renew(sessionId: string): Promise<void> {
    const shard = shardOfSession(sessionId)
    for (let tries = 0; tries < triesMax; tries += 1) {
      const reply = (await hot.routes.run('untold', shard, [sessionId])) as unknown[]
      if (reply[0] === 'current') return
      const [, tenantId, userId, epoch, , messageId, next = '', told = '', entries = []] = reply
      const runs = runsOf(hot, {
        session: { sessionId, tenantId: String(tenantId), userId: String(userId) },
        messageId: String(messageId),
        told: Number(told),
        entries: entries as string[],
      })
      const args = [hot.ahead(), sessionId, String(epoch), String(messageId), String(next)]
      args.push(String(told), hot.origin, `${runs.length}`)
      for (const run of runs) {
        args.push(`${run.from}`, `${run.to}`)
        pushEvent(args, run.event)
      }
      const keys = keysOf(hot.routes, shard, sessionId, messageId === '' ? [] : [String(messageId)])
      if ((await hot.routes.run('epoch', shard, args, keys)) === 1) {
        hot.ears.say(sessionId, { type: 'moved' })
        // Others of this process may have to be said again; a look is enough, and none is no harm.
        hot.routes
          .of(shard)
          .lookAtLife()
          .catch(() => undefined)
        return
      }
    }
    throw new Error(`the session ${sessionId} could not go on in another life of Redis`)
  }

  return (sessionId) => {
    const before = underWay.get(sessionId)
    if (before !== undefined) return before
    const now = renew(sessionId).finally(() => underWay.delete(sessionId))
    underWay.set(sessionId, now)
    return now
  }
}

interface Untold {
  session: { sessionId: string; tenantId: string; userId: string }
  messageId: string
  told: number
  entries: string[]
}

function runsOf({ options }: Omit<Hot, 'renewLife'>, untold: Untold): Run[] {
  const { session, messageId, told, entries } = untold
  if (entries.length === 0) return []
  const { nodeId, chunkEventMs, eventContent } = options
  const runs = new Runs(
    { session, messageId, nodeId, chunkEventMs, eventContent, now: Date.now },
    told,
  )
  const closed: { from: number; to: number; event: OpenEvent }[] = []
  for (let at = 0; at < entries.length; at += 2) {
    const text = entries[at + 1] ?? ''
    const place = { seq: 0, messageId, chunkIndex: 0 }
    const step = chunkOf(place, Number(entries[at]), text)
    if (step.type !== 'chunk') continue
    const { kind, part } = step
    runs.add({ kind, part, text, bytes: Buffer.byteLength(text), atMs: 0 }, closed)
  }
  runs.close(closed)
  return closed
}
