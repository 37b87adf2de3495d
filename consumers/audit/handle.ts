import { addAuditLogs, type NewAuditLog } from '#db/queries/add-audit-logs.ts'
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
function auditLogOf({ event, json, topic, partition, offset }: ConsumedEvent): NewAuditLog {
  const fields = fieldsOf(event)
  const { tenantId, userId, conversationId, messageId, sessionId, epoch, seq } = fields
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
    eventData: eventDataOf(fields, json),
    source: topic,
    topicPartition: partition,
    topicOffset: offset,
  }
}

// Postgres might refuse what parsing rounds or drops: a number of more than 16,383 places behind its point, or one that
// huge, and escapes in a member that a later one of its name replaces.
const odd = /\\u|\d[eE][+-]?\d{4}/
const plainMax = 10_000

/** As it stands in the log wherever that holds nothing to be left out: to write JSON costs as much as to read it. */
function eventDataOf(fields: Record<string, unknown>, json: string): NewAuditLog['eventData'] {
  const isWritten = 'content' in fields || 'text' in fields || 'parts' in fields
  if (!isWritten && json.length < plainMax && !odd.test(json)) return json
  return { ...fields, content: undefined, text: undefined, parts: undefined }
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
