import { sql } from 'drizzle-orm'
import type { Database } from '#db/client.ts'
import type { EventLog, LogRecord, NewRecord } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import { Teller } from '../contract/consumers-events.ts'

/** What a log tells, each event counted once. */
export interface Told {
  /** But chunks. */
  events: number
  messages: number
  /** Ends of answers. */
  ends: number
}

export async function recordsOf(eventLog: EventLog, topic: string): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for (const range of (await eventLog.kept(topic)) ?? []) {
    for await (const page of eventLog.read(range, new AbortController().signal)) {
      records.push(...page)
    }
  }
  return records
}

/** Of both topics of the product. */
export async function eventsIn(eventLog: EventLog): Promise<Told> {
  const told = { events: 0, messages: 0, ends: 0 }
  const ids = new Set<string>()
  for (const topic of [topics.stream, topics.chat]) {
    for (const { headers } of await recordsOf(eventLog, topic)) {
      const text = (name: string) =>
        Buffer.from(headers.find(([header]) => header === name)?.[1] ?? []).toString()
      const [id, type] = [text('ce_id'), text('ce_type')]
      if (type === '' || type === 'CHUNK_RECEIVED' || ids.has(id)) continue
      ids.add(id)
      told.events += 1
      if (type === 'CHAT_MESSAGE') told.messages += 1
      if (/^STREAM_(COMPLETED|CANCELLED|ERROR)$/.test(type)) told.ends += 1
    }
  }
  return told
}

/** Of what Postgres has, the same. */
export async function rowsIn({ db }: Database): Promise<Told> {
  const [row] = await db.execute<Record<keyof Told, string>>(sql`select
    (select count(*) from audit_logs) as events,
    (select count(*) from messages) as messages,
    (select coalesce(sum(sum), 0) from analytics_minutes where metric in
      ('analytics.streams.completed', 'analytics.streams.cancelled', 'analytics.errors.stream')) as ends`)
  const { events = 0, messages = 0, ends = 0 } = row ?? {}
  return { events: Number(events), messages: Number(messages), ends: Number(ends) }
}

/** So many sessions of one question each; each tenth answer fails. */
export function chats(name: string, sessions: number): NewRecord[] {
  return Array.from({ length: sessions }, (_, at) => {
    const teller = new Teller(`${name}-${at}`)
    teller.chat({ outcome: at % 10 === 0 ? 'failed' : 'completed' })
    return teller.records()
  }).flat()
}
