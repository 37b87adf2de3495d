import { type AuditLog, addAuditLogs } from '#db/queries/add-audit-logs.ts'
import { topics } from '#events/topics.ts'
import type { Log } from '#runtime/log.ts'
import { iso } from '#runtime/time.ts'
import { type ConsumedEvent, type ConsumerDefinition, defineConsumer } from '../define.ts'
import { timeOfEvent } from '../event-time.ts'
import { groups } from '../groups.ts'
import { consumerMetrics } from '../metrics.ts'
import { GapDetector } from './gaps.ts'

// Where one event is told twice, as after a producer's failure, the next are too; a copy in vain costs all of a batch.
const carefulBatches = 50

/** Every event but chunks becomes a row, types that we don't know too, once however often it is delivered. */
export function auditConsumer(options: { log: Log }): ConsumerDefinition {
  const { gaps } = consumerMetrics()
  const both = [topics.stream, topics.chat]
  const detector = new GapDetector(both, (gap) => {
    gaps.add(1, { group: groups.audit })
    options.log.error('events are missing in the log', { ...gap })
  })
  let careful = 0
  return defineConsumer({
    name: 'audit',
    groupId: groups.audit,
    topics: both,
    transactional: true,
    exceptTypes: ['CHUNK_RECEIVED'],
    glance: (records) => detector.see(records),
    moved: () => detector.forget(),
    async handle(events, { transaction }) {
      if (transaction === undefined) throw new TypeError('audit needs a transaction')
      const areNew = careful === 0
      const added = await addAuditLogs(transaction, events.map(auditLogOf), { areNew })
      careful = added < events.length ? carefulBatches : Math.max(0, careful - 1)
    },
  })
}

/** The event as the audit keeps it: without anything that somebody wrote. */
function auditLogOf({ event, topic, partition, offset }: ConsumedEvent): AuditLog {
  const { content: _content, text: _text, parts: _parts, ...eventData } = fieldsOf(event)
  const { tenantId, userId, conversationId, messageId, sessionId, epoch, seq } = eventData
  return {
    eventId: event.eventId,
    eventType: event.eventType,
    timestamp: iso(timeOfEvent(event)),
    tenantId: textOf(tenantId) ?? 'default',
    userId: textOf(userId),
    conversationId: textOf(conversationId),
    messageId: textOf(messageId),
    sessionId: textOf(sessionId),
    epoch: numberOf(epoch),
    seq: numberOf(seq),
    eventData,
    source: topic,
    topicPartition: partition,
    topicOffset: offset,
  }
}

// What a type that we don't know calls by these names may be anything.
function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : null
}

function fieldsOf(event: object): Record<string, unknown> {
  return event as Record<string, unknown>
}
