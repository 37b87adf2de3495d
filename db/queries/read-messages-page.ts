import { and, eq, isNotNull, lt, type SQL, sql } from 'drizzle-orm'
import { isUuid, timeOfUuid } from '#runtime/ids.ts'
import type { Db } from '../client.ts'
import { messageColumns, messagePlace, newestFirst } from '../message-columns.ts'
import { messages } from '../schema/messages.ts'
import { type StoredMessage, storedMessage } from '../stored-message.ts'
import type { SessionOwner } from './read-owners.ts'

export interface MessagesPage {
  /** Oldest first. */
  messages: StoredMessage[]
  hasOlder: boolean
}

/** Messages of one's own session that are older than `before`; the newest when it is left out. */
export async function readMessagesPage(
  db: Db,
  session: SessionOwner,
  { before, limit }: { before?: string | undefined; limit: number },
): Promise<MessagesPage> {
  const ofSession = and(
    eq(messages.sessionId, session.sessionId),
    eq(messages.tenantId, session.tenantId),
    eq(messages.userId, session.userId),
  )
  let older: SQL | undefined
  if (before !== undefined) {
    if (!isUuid(before)) return { messages: [], hasOlder: false }
    const [anchor] = await db
      .select({ epoch: messages.epoch, seq: messages.seq, role: messages.role })
      .from(messages)
      .where(and(ofSession, eq(messages.messageId, before)))
    older =
      anchor === undefined
        ? // Not told yet: all that is here and older than it comes before it.
          lt(messages.createdAt, new Date(timeOfUuid(before)))
        : sql`${messagePlace} < (${anchor.epoch}::bigint, ${anchor.seq}::bigint, ${anchor.role === 'assistant'}::boolean, ${before}::uuid)`
  }
  const found = await db
    .select(messageColumns)
    .from(messages)
    .where(and(ofSession, isNotNull(messages.content), older))
    .orderBy(newestFirst)
    .limit(limit + 1)
  return {
    messages: found.slice(0, limit).reverse().map(storedMessage),
    hasOlder: found.length > limit,
  }
}
