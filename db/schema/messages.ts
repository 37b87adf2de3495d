import { type SQL, sql } from 'drizzle-orm'
import {
  bigint,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'

const tsvector = customType<{ data: string }>({ dataType: () => 'tsvector' })

/**
 * Range-partitioned by `created_at`, the instant inside `message_id` (its migration says so, for drizzle cannot).
 * Everything that makes up a message of history, except of erased ones: they keep their row without its text.
 */
export const messages = pgTable(
  'messages',
  {
    messageId: uuid('message_id').notNull(),
    createdAt: timestamp('created_at', { withTimezone: true, precision: 3 }).notNull(),
    sessionId: text('session_id').notNull(),
    conversationId: text('conversation_id').notNull(),
    tenantId: text('tenant_id').notNull(),
    userId: text('user_id').notNull(),
    role: text('role', { enum: ['user', 'assistant'] }).notNull(),
    content: text('content'),
    parts: jsonb('parts'),
    outcome: text('outcome', {
      enum: ['completed', 'cancelled', 'failed', 'interrupted'],
    }).notNull(),
    model: text('model'),
    chunks: integer('chunks'),
    /** UTF-16 units of the content, also when that is gone. */
    length: integer('length'),
    sha256: text('sha256'),
    finishReason: text('finish_reason'),
    usage: jsonb('usage'),
    error: jsonb('error'),
    metadata: jsonb('metadata'),
    /** Of an answer: its question. */
    parentMessageId: uuid('parent_message_id'),
    finishedAt: timestamp('finished_at', { withTimezone: true, precision: 3 }),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    erasedAt: timestamp('erased_at', { withTimezone: true, precision: 3 }),
    // A tsvector holds at most 1 MiB: of 120,000 characters none can be larger, whatever they are.
    search: tsvector('search').generatedAlwaysAs(
      (): SQL => sql`to_tsvector('simple'::regconfig, coalesce(left(content, 120000), ''))`,
    ),
  },
  (table) => [
    primaryKey({ columns: [table.messageId, table.createdAt] }),
    index('messages_of_session').on(table.sessionId, table.epoch, table.seq),
    index('messages_of_user').on(table.tenantId, table.userId, table.createdAt),
    index('messages_search').using('gin', table.search),
  ],
)
