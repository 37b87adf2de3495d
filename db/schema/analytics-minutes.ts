import {
  bigint,
  doublePrecision,
  jsonb,
  pgTable,
  text,
  timestamp,
  unique,
} from 'drizzle-orm/pg-core'

export const analyticsMinutes = pgTable(
  'analytics_minutes',
  {
    minute: timestamp('minute', { withTimezone: true, precision: 3 }).notNull(),
    metric: text('metric').notNull(),
    labels: jsonb('labels').notNull(),
    /** Of a counter: the events. */
    count: bigint('count', { mode: 'number' }).notNull(),
    /** Of a counter: its total. */
    sum: doublePrecision('sum').notNull(),
    min: doublePrecision('min'),
    max: doublePrecision('max'),
    /** `{<bucket>: count}` of a histogram, on the scale of `db/buckets.ts`; null of a counter. */
    buckets: jsonb('buckets'),
  },
  (table) => [unique('analytics_minutes_key').on(table.metric, table.minute, table.labels)],
)
