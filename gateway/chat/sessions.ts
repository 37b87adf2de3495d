import { isUuid7, timeOfUuid } from '#runtime/ids.ts'
import type { ColdSession, Cursor, Generations, SessionRef } from '../generations/generations.ts'
import type { Archive } from './archive.ts'
import type { Who } from './asks.ts'
import { ContractError } from './errors.ts'
import { reached } from './reached.ts'

// A person who opens a page may think for a while before the first question.
const justMadeMs = 600_000

/** Whose sessions are. Refusals are `ContractError`s: `forbidden`, `not_found`, `unavailable`. */
export interface Sessions {
  /**
   * A connection or question names a session: claims a new one for `who`, loads a cold one back, or refuses.
   * `isNew`: the server has just made the id, so that nobody else can know of it.
   */
  open(
    who: Who,
    sessionId: string,
    options?: { isNew?: boolean },
  ): Promise<{ session: SessionRef; top: Cursor }>
  /** For reads, which never claim: `not_found` for nobody's, `forbidden` for another's. */
  check(who: Who, sessionId: string): Promise<SessionRef>
}

export interface SessionsDeps {
  generations: Generations
  archive: Archive
  now?: () => number
}

export function createSessions({ generations, archive, now = Date.now }: SessionsDeps): Sessions {
  const hot = (session: SessionRef, ifAbsent: 'ask' | 'create') =>
    reached(() => generations.open({ session, at: now(), ifAbsent }))

  /** While Postgres is away chats go on, and so does a new one whose id says that Postgres can't know it yet. */
  async function coldOf(sessionId: string): Promise<ColdSession | null> {
    try {
      return await archive.session(sessionId)
    } catch (error) {
      const isAway = error instanceof ContractError && error.code === 'unavailable'
      if (isAway && isJustMade(sessionId, now())) return null
      throw error
    }
  }

  return {
    async open(who, sessionId, { isNew = false } = {}) {
      const session = sessionOf(who, sessionId)
      let opened = await hot(session, isNew ? 'create' : 'ask')
      if (opened.is === 'absent') {
        const cold = await coldOf(sessionId)
        if (cold !== null) {
          if (!isTheirs(who, cold)) throw notYours()
          await reached(() => generations.restore(cold, now()))
        }
        opened = await hot(session, 'create')
      }
      if (opened.is !== 'open') throw notYours()
      return { session, top: { epoch: opened.epoch, seq: opened.seq } }
    },
    async check(who, sessionId) {
      const session =
        (await reached(() => generations.session(sessionId))) ?? (await archive.owner(sessionId))
      if (session === null) throw new ContractError('not_found', 'no such session')
      if (!isTheirs(who, session)) throw notYours()
      return session
    },
  }
}

/** A UUIDv7 of this moment: no session of before has it, and its 74 random bits are known to its maker alone. */
function isJustMade(sessionId: string, nowMs: number): boolean {
  if (!isUuid7(sessionId)) return false
  const ageMs = nowMs - timeOfUuid(sessionId)
  return ageMs > -justMadeMs && ageMs < justMadeMs
}

export function sessionOf(who: Who, sessionId: string): SessionRef {
  return { sessionId, tenantId: who.tenantId, userId: who.userId }
}

export function isTheirs(who: Who, owned: { tenantId: string; userId: string }): boolean {
  return owned.userId === who.userId && owned.tenantId === who.tenantId
}

function notYours(): ContractError {
  return new ContractError('forbidden', 'the session belongs to another user')
}
