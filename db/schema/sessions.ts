import { bigint, index, pgTable, text, timestamp } from 'drizzle-orm/pg-core'

export const sessions = pgTable(
  'sessions',
  {
    sessionId: text('session_id').primaryKey(),
    tenantId: text('tenant_id').notNull(),
    userId: text('user_id').notNull(),
    title: text('title'),
    createdAt: timestamp('created_at', { withTimezone: true, precision: 3 }).notNull(),
    /** Null until it has a message. */
    lastMessageAt: timestamp('last_message_at', { withTimezone: true, precision: 3 }),
    /** The last step that any of its events told: hot state goes on above it. */
    lastEpoch: bigint('last_epoch', { mode: 'number' }).notNull().default(0),
    lastSeq: bigint('last_seq', { mode: 'number' }).notNull().default(0),
    /** No text of a step at or before this one is kept. */
    erasedEpoch: bigint('erased_epoch', { mode: 'number' }),
    erasedSeq: bigint('erased_seq', { mode: 'number' }),
  },
  (table) => [
    index('sessions_of_user').on(
      table.tenantId,
      table.userId,
      table.lastMessageAt,
      table.sessionId,
    ),
  ],
)
