import { and, eq } from 'drizzle-orm'
import { isUuid, timeOfUuid } from '#runtime/ids.ts'
import type { Db } from '../client.ts'
import { messageColumns } from '../message-columns.ts'
import { messages } from '../schema/messages.ts'
import { type StoredMessage, storedMessage } from '../stored-message.ts'
import type { SessionOwner } from './read-owners.ts'

export interface ArchivedMessage extends SessionOwner {
  message: StoredMessage
  /** Its text is gone. */
  erased: boolean
}

/** Null: nobody's, or its text was never told. Answers whoever's it is. */
export async function readMessage(db: Db, id: string): Promise<ArchivedMessage | null> {
  if (!isUuid(id)) return null
  // Its time is inside its id: that leaves one partition to look in.
  const at = id[14] === '7' ? eq(messages.createdAt, new Date(timeOfUuid(id))) : undefined
  const [row] = await db
    .select(messageColumns)
    .from(messages)
    .where(and(eq(messages.messageId, id), at))
  if (row === undefined || (row.content === null && row.erasedAt === null)) return null
  const { sessionId, tenantId, userId } = row
  return { sessionId, tenantId, userId, message: storedMessage(row), erased: row.erasedAt !== null }
}
