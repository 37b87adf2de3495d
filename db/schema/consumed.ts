import { sql } from 'drizzle-orm'
import { date, index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'

/** The events that a group has counted, so that one that stands in the log twice is counted once. */
export const consumed = pgTable(
  'consumed',
  {
    groupId: text('group_id').notNull(),
    eventId: uuid('event_id').notNull(),
    /** When it was counted; what is older than the log can be forgotten. */
    day: date('day').notNull().default(sql`current_date`),
  },
  (table) => [
    primaryKey({ columns: [table.groupId, table.eventId] }),
    // Rows come in the order of their days, so a few pages of BRIN do what a B-tree of every row would.
    index('consumed_day').using('brin', table.day),
  ],
)
