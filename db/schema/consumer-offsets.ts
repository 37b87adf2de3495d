import { bigint, integer, pgTable, primaryKey, text } from 'drizzle-orm/pg-core'

/** How far each group is: moved in the transaction of the rows that it covers. */
export const consumerOffsets = pgTable(
  'consumer_offsets',
  {
    groupId: text('group_id').notNull(),
    topic: text('topic').notNull(),
    partition: integer('partition').notNull(),
    nextOffset: bigint('next_offset', { mode: 'number' }).notNull(),
  },
  (table) => [primaryKey({ columns: [table.groupId, table.topic, table.partition] })],
)
