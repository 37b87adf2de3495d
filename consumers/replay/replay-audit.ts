import type { Database } from '#db/client.ts'
import { addAuditFact } from '#db/queries/add-audit-fact.ts'
import type { AuditFact } from '#events/audit-fact.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import type { Clock } from '../clock.ts'
import type { Replayer } from './open-replay.ts'

/** A replay whose beginning is in the audit. */
export interface ReplayRecord {
  who: Replayer
  sessionId: string | null
  request: string
  replayId: string
  startedMs: number
}

interface ReplayAuditInput {
  database: Database
  nodeId: string
  clock: Clock
}

/** Writes who replayed what into the audit. */
export class ReplayAudit {
  readonly #input: ReplayAuditInput

  constructor(input: ReplayAuditInput) {
    this.#input = input
  }

  /** `request` as it was asked for. */
  async started(who: Replayer, sessionId: string | null, request: string): Promise<ReplayRecord> {
    const startedMs = this.#input.clock.now()
    const record = { who, sessionId, request, replayId: uuidv7(startedMs), startedMs }
    const { replayId } = record
    await this.#add(record, { eventType: 'REPLAY_STARTED', request, replayId })
    return record
  }

  async finished(
    record: ReplayRecord,
    { count, complete, outcome }: { count: number; complete: boolean; outcome: string },
  ): Promise<void> {
    const { request, replayId, startedMs } = record
    const durationMs = Math.max(0, this.#input.clock.now() - startedMs)
    const eventType = 'REPLAY_FINISHED'
    await this.#add(record, { eventType, request, replayId, count, complete, durationMs, outcome })
  }

  async #add({ who, sessionId }: ReplayRecord, fact: AuditFact): Promise<void> {
    const { database, clock, nodeId } = this.#input
    const atMs = clock.now()
    const envelope = {
      eventId: uuidv7(atMs),
      timestamp: iso(atMs),
      tenantId: who.tenantId,
      userId: who.userId,
    }
    await addAuditFact(database.db, {
      source: 'replay',
      eventType: fact.eventType,
      ...envelope,
      ...(sessionId !== null && { sessionId }),
      eventData: { ...envelope, schemaVersion: 1, nodeId, ...fact },
    })
  }
}
