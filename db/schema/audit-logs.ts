import { sql } from 'drizzle-orm'
import {
  bigint,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from 'drizzle-orm/pg-core'

/** Range-partitioned by `timestamp`, the instant inside `event_id` (its migration says so, for drizzle cannot). */
export const auditLogs = pgTable(
  'audit_logs',
  {
    eventId: uuid('event_id').notNull(),
    eventType: text('event_type').notNull(),
    timestamp: timestamp('timestamp', { withTimezone: true, precision: 3 }).notNull(),
    tenantId: text('tenant_id').notNull(),
    userId: text('user_id'),
    conversationId: text('conversation_id'),
    messageId: text('message_id'),
    sessionId: text('session_id'),
    epoch: bigint('epoch', { mode: 'number' }),
    seq: bigint('seq', { mode: 'number' }),
    /** The event without anything that somebody wrote. */
    eventData: jsonb('event_data').notNull(),
    /** A topic; `replay` or `dlq` for facts that stand in none. */
    source: text('source').notNull(),
    topicPartition: integer('topic_partition'),
    topicOffset: bigint('topic_offset', { mode: 'number' }),
    createdAt: timestamp('created_at', { withTimezone: true, precision: 3 }).notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.eventId, table.timestamp] }),
    index('audit_logs_by_time').on(table.tenantId, table.timestamp, table.eventId),
    index('audit_logs_of_user').on(table.tenantId, table.userId, table.timestamp),
    index('audit_logs_of_type').on(table.tenantId, table.eventType, table.timestamp),
    // Not with the tenant: replay asks for a session whoever's it is.
    index('audit_logs_of_session').on(table.sessionId, table.timestamp),
    index('audit_logs_of_conversation').on(table.conversationId, table.timestamp),
    index('audit_logs_of_message')
      .on(table.messageId, table.timestamp)
      .where(sql`message_id is not null`),
  ],
)
