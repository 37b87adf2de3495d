import type { SessionOwner } from '#db/queries/read-owners.ts'

/** Of one statement. */
const idsMax = 1_000

/**
 * Whose sessions are; null: nobody's. What one turn of the event loop asks is one statement: when two thousand
 * clients come at once, a round trip for each would take longer than all else that they need.
 */
export function owners(
  read: (ids: string[]) => Promise<SessionOwner[]>,
): (sessionId: string) => Promise<SessionOwner | null> {
  let asked: { ids: Set<string>; found: Promise<Map<string, SessionOwner>> } | null = null

  const begin = () => {
    const ids = new Set<string>()
    const found = new Promise<void>((resolve) => setImmediate(resolve)).then(async () => {
      if (asked?.ids === ids) asked = null
      return new Map((await read([...ids])).map((owner) => [owner.sessionId, owner]))
    })
    asked = { ids, found }
    return asked
  }

  return async (sessionId) => {
    const { ids, found } = asked === null || asked.ids.size >= idsMax ? begin() : asked
    ids.add(sessionId)
    return (await found).get(sessionId) ?? null
  }
}
