import { and, eq, inArray, isNotNull, sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { messageColumns, newestFirst } from '../message-columns.ts'
import { messages } from '../schema/messages.ts'
import { sessions } from '../schema/sessions.ts'
import { type StoredMessage, storedMessage } from '../stored-message.ts'
import type { SessionOwner } from './read-owners.ts'

export interface ColdSession extends SessionOwner {
  /** The last step that is known. */
  last: { epoch: number; seq: number }
  /** The newest, oldest first, within the bounds; the newest always. */
  messages: StoredMessage[]
  /** There is something older than `messages`. */
  hasOlder: boolean
}

export interface ColdBounds {
  messagesMax: number
  /** UTF-8 bytes of their texts. */
  bytesMax: number
}

const boundsDefault: ColdBounds = { messagesMax: 50, bytesMax: 256 * 1024 }

/** A session as hot state wants it back; null: nobody's. Answers whoever's it is. */
export async function readColdSession(
  db: Db,
  id: string,
  { messagesMax, bytesMax }: ColdBounds = boundsDefault,
): Promise<ColdSession | null> {
  const { sessionId, tenantId, userId, lastEpoch, lastSeq } = sessions
  const [row] = await db
    .select({ sessionId, tenantId, userId, lastEpoch, lastSeq })
    .from(sessions)
    .where(eq(sessionId, id))
  if (row === undefined) return null
  // Sizes first: what doesn't fit may be fifty times half a megabyte.
  const sizes = await db
    .select({
      messageId: messages.messageId,
      bytes: sql<number>`octet_length(${messages.content}) + coalesce(octet_length(${messages.parts}::text), 0) + coalesce(octet_length(${messages.metadata}::text), 0)`,
    })
    .from(messages)
    .where(ofSession(row))
    .orderBy(newestFirst)
    .limit(messagesMax + 1)
  let bytes = 0
  let fit = sizes.slice(0, messagesMax).findIndex((size, index) => {
    bytes += size.bytes
    return index > 0 && bytes > bytesMax
  })
  if (fit === -1) fit = Math.min(sizes.length, messagesMax)
  const ids = sizes.slice(0, fit).map(({ messageId }) => messageId)
  const found =
    ids.length === 0
      ? []
      : await db
          .select(messageColumns)
          .from(messages)
          .where(and(ofSession(row), inArray(messages.messageId, ids)))
          .orderBy(newestFirst)
  return {
    sessionId: row.sessionId,
    tenantId: row.tenantId,
    userId: row.userId,
    last: { epoch: row.lastEpoch, seq: row.lastSeq },
    messages: found.reverse().map(storedMessage),
    hasOlder: sizes.length > fit,
  }
}

function ofSession({ sessionId, tenantId, userId }: SessionOwner) {
  return and(
    eq(messages.sessionId, sessionId),
    eq(messages.tenantId, tenantId),
    eq(messages.userId, userId),
    isNotNull(messages.content),
  )
}
