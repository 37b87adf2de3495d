import type { Database } from '#db/client.ts'
import { readErasures } from '#db/queries/read-erasures.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'
import type { EventLog, LogRecord } from '#eventlog/event-log.ts'
import { decodeRecord, eventTypeOf } from '#events/codec.ts'
import { topics } from '#events/topics.ts'
import { groups } from '../groups.ts'
import { type Replayed, stepOfEvent, textField } from './replayed.ts'

interface Step {
  epoch: number
  seq: number
}

/** Which text is erased: what the history's table says, and what it has not been told yet. */
export class Erasures {
  readonly #database: Database
  readonly #untold: ReadonlyMap<string, Step>

  private constructor(database: Database, untold: ReadonlyMap<string, Step>) {
    this.#database = database
    this.#untold = untold
  }

  /** As of now. Reads what the history consumer has still to read of erasures. */
  static async read(
    eventLog: EventLog,
    database: Database,
    signal: AbortSignal,
  ): Promise<Erasures> {
    const told = await readOffsets(database.db, groups.history)
    const untold = new Map<string, Step>()
    for (const { topic, partition, from, to } of (await eventLog.kept(topics.chat)) ?? []) {
      const at = told.find((row) => row.topic === topic && row.partition === partition)
      const start = Math.max(from, at?.offset ?? from)
      if (start >= to) continue
      for await (const page of eventLog.read({ topic, partition, from: start, to }, signal)) {
        for (const record of page) addErasure(untold, record)
      }
    }
    return new Erasures(database, untold)
  }

  /** Answers which of these may be shown with their text. */
  async check(all: Replayed[]): Promise<(replayed: Replayed) => boolean> {
    const ids = new Set(all.map(({ event }) => textField(event, 'sessionId') ?? ''))
    ids.delete('')
    const rows = ids.size === 0 ? [] : await readErasures(this.#database.db, [...ids])
    const told = new Map<string, Step>(rows.map((row) => [row.sessionId, row]))
    return ({ event }) => {
      const sessionId = textField(event, 'sessionId')
      const step = event === null ? null : stepOfEvent(event)
      if (sessionId === null || step === null) return true
      return !covers(told.get(sessionId), step) && !covers(this.#untold.get(sessionId), step)
    }
  }
}

function addErasure(erasures: Map<string, Step>, record: LogRecord): void {
  const eventType = eventTypeOf(record)
  if (typeof eventType === 'string' && eventType !== 'HISTORY_ERASED') return
  const decoded = decodeRecord(record)
  if (decoded.is !== 'event' || decoded.event.eventType !== 'HISTORY_ERASED') return
  const { sessionId, epoch, seq } = decoded.event
  if (!covers(erasures.get(sessionId), { epoch, seq })) erasures.set(sessionId, { epoch, seq })
}

function covers(erasure: Step | undefined, step: Step): boolean {
  if (erasure === undefined) return false
  return step.epoch < erasure.epoch || (step.epoch === erasure.epoch && step.seq <= erasure.seq)
}
