import { headerOf } from '#consumers/read-record.ts'
import type { Database, Db } from '#db/client.ts'
import { addAuditFact } from '#db/queries/add-audit-fact.ts'
import { findRedriven, lockRedrive } from '#db/queries/redriven.ts'
import type { EventLog, LogRecord, NewRecord } from '#eventlog/event-log.ts'
import type { AuditFact } from '#events/audit-fact.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import { groupOf, isDlqTopic } from './dead-letters.ts'

export interface RedriveParts {
  eventLog: EventLog
  /** Has the audit, which knows what was put back. */
  database: Database
  /** Who does it: `cli:<os user>`. */
  actor: string
  nodeId: string
  now(): number
  signal: AbortSignal
  progress(done: number, all: number): void
}

export interface RedriveWanted {
  topic: string
  /** null: all that are kept. */
  place: { partition: number; offset: number } | null
  isDryRun: boolean
}

export interface Redriven {
  redriven: number
  /** Put back before, or no dead letters of ours. */
  skipped: number
}

const lotSize = 100

/**
 * Puts dead letters back to where they came from, for their group alone, and says so in the audit. One that was put back
 * before is skipped; only what fails between the log and the audit may come twice. Null when there is no such topic.
 */
export async function redrive(
  wanted: RedriveWanted,
  parts: RedriveParts,
): Promise<Redriven | null> {
  const { topic, place } = wanted
  const kept = isDlqTopic(topic) ? await parts.eventLog.kept(topic) : null
  if (kept === null) return null
  const names = (await parts.eventLog.topics()).map((info) => info.topic)
  const desk = {
    ...parts,
    wanted,
    group: groupOf(topic, names),
    partitions: await partitionsOf(parts),
  }
  const ranges = kept.flatMap((range) => {
    if (place === null) return [range]
    const { partition, offset } = place
    const isThere = range.partition === partition && offset >= range.from && offset < range.to
    return isThere ? [{ topic, partition, from: offset, to: offset + 1 }] : []
  })
  if (place !== null && ranges.length === 0) throw new Error('there is no such dead letter')
  const all = ranges.reduce((sum, { from, to }) => sum + to - from, 0)
  const done: Redriven = { redriven: 0, skipped: 0 }
  for (const range of ranges) {
    for await (const page of parts.eventLog.read(range, parts.signal)) {
      for (let at = 0; at < page.length; at += lotSize) {
        parts.signal.throwIfAborted()
        const lot = page.slice(at, at + lotSize)
        const sent = await redriveLot(lot, desk)
        done.redriven += sent
        done.skipped += lot.length - sent
        parts.progress(done.redriven + done.skipped, all)
      }
    }
  }
  return done
}

interface Desk extends RedriveParts {
  wanted: RedriveWanted
  group: string
  partitions: ReadonlyMap<string, number>
}

async function redriveLot(lot: readonly LogRecord[], desk: Desk): Promise<number> {
  const { database, eventLog, wanted } = desk
  const first = lot[0]
  const last = lot.at(-1)
  if (first === undefined || last === undefined) return 0
  const range = {
    topic: first.topic,
    partition: first.partition,
    from: first.offset,
    to: last.offset,
  }
  const fresh = async (db: Db) => {
    const before = new Set(await findRedriven(db, range))
    return lot.flatMap((letter) => {
      const record = before.has(letter.offset) ? null : backOf(letter, desk)
      return record === null ? [] : [{ letter, record }]
    })
  }
  if (wanted.isDryRun) return (await fresh(database.db)).length
  return database.transaction(async (tx) => {
    await lockRedrive(tx)
    const letters = await fresh(tx)
    if (letters.length === 0) return 0
    for (const { letter } of letters) await addFact(tx, letter, desk)
    await eventLog.produce(letters.map(({ record }) => record))
    return letters.length
  })
}

/** The record as it was, for its group alone; null when this is no dead letter of a topic that there is. */
function backOf(letter: LogRecord, { group, partitions }: Desk): NewRecord | null {
  const topic = headerOf(letter, 'dlq-topic')
  const count = topic === undefined ? undefined : partitions.get(topic)
  if (topic === undefined || count === undefined) return null
  const partition = wholeOf(letter, 'dlq-partition')
  const { key, value } = letter
  return {
    ...{ topic, key, value },
    // Its key alone would do, but for a producer that chose otherwise.
    ...(partition !== null && partition < count && { partition }),
    timestamp: wholeOf(letter, 'dlq-timestamp') ?? letter.timestamp,
    headers: [
      ...letter.headers.filter(([name]) => !name.startsWith('dlq-') && name !== 'redrive'),
      ['redrive', new TextEncoder().encode(headerOf(letter, 'dlq-group') ?? group)],
    ],
  }
}

function wholeOf(letter: LogRecord, name: string): number | null {
  const text = headerOf(letter, name) ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : null
}

async function addFact(tx: Db, { topic, partition, offset }: LogRecord, desk: Desk): Promise<void> {
  const { actor, nodeId, group, now } = desk
  const atMs = now()
  const fact: AuditFact = {
    eventType: 'DEAD_LETTER_REDRIVEN',
    ...{ topic, group, partition, offset },
  }
  const envelope = {
    eventId: uuidv7(atMs),
    timestamp: iso(atMs),
    tenantId: 'default',
    userId: actor,
  }
  await addAuditFact(tx, {
    source: 'dlq',
    eventType: fact.eventType,
    ...envelope,
    eventData: { ...envelope, schemaVersion: 1, nodeId, ...fact },
  })
}

async function partitionsOf({ eventLog }: RedriveParts): Promise<Map<string, number>> {
  return new Map((await eventLog.topics()).map(({ topic, partitions }) => [topic, partitions]))
}
