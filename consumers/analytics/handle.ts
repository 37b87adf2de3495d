import { addAnalytics } from '#db/queries/add-analytics.ts'
import { topics } from '#events/topics.ts'
import { type ConsumerDefinition, defineConsumer } from '../define.ts'
import { groups } from '../groups.ts'
import { analyticsInstruments } from './instruments.ts'
import { measurementsOf } from './measurements.ts'

/** Every event counted once: exactly in Postgres, and as metrics of the process that handled it. */
export function analyticsConsumer(): ConsumerDefinition {
  const record = analyticsInstruments()
  return defineConsumer({
    name: 'analytics',
    groupId: groups.analytics,
    topics: [topics.stream, topics.chat],
    once: true,
    eventTypes: [
      'SESSION_STARTED',
      'STREAM_COMPLETED',
      'STREAM_CANCELLED',
      'STREAM_ERROR',
      'RECOVERY_ATTEMPT',
      'CHAT_MESSAGE',
    ],
    async handle(events, { transaction, afterwards }) {
      if (transaction === undefined) throw new TypeError('analytics needs a transaction')
      const told = events.flatMap(measurementsOf)
      await addAnalytics(transaction, told)
      // A batch that is rolled back must count nowhere.
      afterwards(() => {
        for (const measurement of told) record(measurement)
      })
    },
  })
}
