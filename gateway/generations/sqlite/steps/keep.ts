import type { ColdSession, SessionRef, Status } from '../../generations.ts'
import type { Hot } from '../hot.ts'
import { isOf } from './begin.ts'

export interface Opening {
  session: SessionRef
  ifAbsent: 'ask' | 'create'
}

export type Opened =
  | { is: 'open'; epoch: number; seq: number }
  | { is: 'forbidden' }
  | { is: 'absent' }

export interface Keeping {
  /** Many at once, in one transaction; one answer each, in order. */
  open(inputs: readonly Opening[]): Opened[]
  restore(cold: ColdSession): void
  session(sessionId: string): SessionRef | null
  renew(leases: { messageId: string; token: string; leaseMs: number }[]): boolean[]
  lapsed(): string[]
  setStatus(sessionId: string, messageId: string, status: Status): void
}

/** Use is written down only when it moves the expiry by this part of its time. */
const usePart = 32

export function keeping(hot: Hot): Keeping {
  const { mirror, sessions, generations, messages, watchers, options } = hot

  function open(inputs: readonly Opening[]): Opened[] {
    return hot.commit(() => inputs.map(openOne))
  }

  /** Inside a transaction, so that the look for it costs little and the use of a known one is written with the others. */
  function openOne({ session: wanted, ifAbsent }: Opening): Opened {
    const now = hot.now()
    const known = mirror.session(wanted.sessionId)
    if (known === null && ifAbsent === 'ask' && sessions.mayBeKnown(wanted.sessionId)) {
      return { is: 'absent' }
    }
    if (known !== null && !isOf(known, wanted)) return { is: 'forbidden' }
    if (known === null || now - known.usedAtMs >= options.historyTtlMs / usePart) {
      const session = known ?? sessions.insert(wanted, now)
      mirror.add(session)
      session.usedAtMs = now
      sessions.save(session)
      return { is: 'open', epoch: session.epoch, seq: session.seq }
    }
    return { is: 'open', epoch: known.epoch, seq: known.seq }
  }

  function restore(cold: ColdSession): void {
    hot.ready()
    const { sessionId, last } = cold
    if (mirror.session(sessionId) !== null) return
    hot.commit(() => {
      const { epoch } = last
      const from = { epoch, previous: last, begun: true, hasOlder: cold.hasOlder }
      const now = hot.now()
      const session = sessions.insert(cold, now, from)
      for (const [index, message] of cold.messages.entries()) {
        const pos = index - cold.messages.length
        messages.insert(session, pos, message)
        if (message.role === 'assistant')
          generations.insertEnded(cold, message, { epoch, pos, now })
      }
      if (messages.trim(session.sid)) session.hasOlder = true
      sessions.save(session)
      mirror.add(session)
      watchers.say(sessionId, { type: 'moved' })
    })
  }

  function renew(leases: { messageId: string; token: string; leaseMs: number }[]): boolean[] {
    hot.ready()
    const now = hot.now()
    return leases.map(({ messageId, token, leaseMs }) => {
      const generation = mirror.active.get(messageId)
      if (generation?.token !== token) return false
      generation.leaseUntilMs = now + leaseMs
      return true
    })
  }

  return {
    open,
    restore,
    session(sessionId) {
      hot.ready()
      const session = mirror.session(sessionId)
      if (session === null) return null
      return { sessionId, tenantId: session.tenantId, userId: session.userId }
    },
    renew,
    lapsed() {
      hot.ready()
      const now = hot.now()
      const generationsNow = [...mirror.active.values()]
      return generationsNow.filter((each) => each.leaseUntilMs <= now).map((each) => each.messageId)
    },
    setStatus(sessionId, messageId, status) {
      const generation = mirror.active.get(messageId)
      if (generation?.session.sessionId !== sessionId || generation.status === status) return
      generation.status = status
      watchers.say(sessionId, { type: 'status', messageId, status })
      watchers.deliver()
    },
  }
}
