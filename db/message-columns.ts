import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import { messages } from './schema/messages.ts'

const { search: _search, ...columns } = getTableColumns(messages)

/** All but the search vector, which is as large as the text and of no use to a reader. */
export const messageColumns = columns

/** The order of a session's messages; a question stands before an answer of the same step. */
export const messagePlace: SQL = sql`(${messages.epoch}, ${messages.seq}, ${messages.role} = 'assistant', ${messages.messageId})`

/** As `messagePlace`, to order by. */
export const newestFirst: SQL = sql`${messages.epoch} desc, ${messages.seq} desc, ${messages.role} = 'assistant' desc, ${messages.messageId} desc`
