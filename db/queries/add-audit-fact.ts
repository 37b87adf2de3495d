import type { Db } from '../client.ts'
import { addAuditLogs } from './add-audit-logs.ts'

/** What is done to the log from outside, and so stands in no topic. */
export interface AuditFact {
  source: 'replay' | 'dlq'
  eventId: string
  eventType: 'REPLAY_STARTED' | 'REPLAY_FINISHED' | 'DEAD_LETTER_REDRIVEN'
  /** ISO 8601: the instant inside `eventId`. */
  timestamp: string
  tenantId: string
  /** Who did it; of a command `cli:<os user>`. */
  userId: string
  /** Of a replay of one session. */
  sessionId?: string
  eventData: Record<string, unknown>
}

export async function addAuditFact(db: Db, fact: AuditFact): Promise<void> {
  await addAuditLogs(db, [
    {
      ...fact,
      sessionId: fact.sessionId ?? null,
      conversationId: fact.sessionId ?? null,
      messageId: null,
      epoch: null,
      seq: null,
      topicPartition: null,
      topicOffset: null,
    },
  ])
}
