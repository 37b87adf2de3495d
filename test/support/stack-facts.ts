import { expect } from 'bun:test'
import { sql } from 'drizzle-orm'
import type { Database } from '#db/client.ts'
import type { LogRecord } from '#eventlog/event-log.ts'
import type { Event } from '#events/event.ts'
import { topics } from '#events/topics.ts'
import { outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { shardBases } from '#gateway/generations/redis/shards.ts'
import { faultsOverEpochs } from '../contract/generations-redis-facts.ts'
import { eventOf } from './hot-parts.ts'
import { recordsOf } from './log-contents.ts'
import { redisClient } from './redis.ts'
import type { Stack } from './stack.ts'
import type { StackChat } from './stack-chats.ts'
import { until } from './until.ts'

const patienceMs = 90_000

/** Fails unless all that is known of these chats, in every place, is the same, once, and whole. */
export async function expectFacts(
  stack: Stack,
  chats: readonly StackChat[],
  { isLossy = false } = {},
): Promise<Event[]> {
  for (const { watcher } of chats) {
    expect(watcher.faults).toEqual([])
    expect(watcher.misfits).toEqual([])
  }
  await expectEmptyOutbox(stack)
  const events = once(await allRecords(stack))
  expectEvents(events, chats, isLossy)
  await expectRows(stack.database, events)
  await expectTold(stack.url, events, chats)
  return events
}

async function allRecords({ eventLog }: Stack): Promise<LogRecord[]> {
  const lists = await Promise.all(
    [topics.stream, topics.chat].map((topic) => recordsOf(eventLog, topic)),
  )
  return lists.flat()
}

/** A record may stand at two offsets; only its `eventId` tells. */
function once(records: readonly LogRecord[]): Event[] {
  const events = new Map<string, Event>()
  for (const record of records) {
    const isPoison = record.headers.every(([name]) => name !== 'ce_id')
    if (isPoison) continue
    const event = eventOf(record)
    const known = events.get(event.eventId)
    if (known === undefined) events.set(event.eventId, event)
  }
  return [...events.values()]
}

/** Relays have taken all there was, and what is counted is what is there. */
async function expectEmptyOutbox({ redis }: Stack): Promise<void> {
  const client = await redisClient(redis.url)
  const left = async () => {
    let entries = 0
    for (const base of shardBases('sluice:')) entries += await client.xLen(outboxKeys.stream(base))
    return entries
  }
  await until(async () => (await left()) === 0, {
    ...{ timeoutMs: patienceMs, everyMs: 100 },
    what: 'the outbox is empty',
  })
  for (const base of shardBases('sluice:')) {
    const { n = '0', b = '0' } = await client.hGetAll(outboxKeys.size(base))
    expect([n, b]).toEqual(['0', '0'])
    expect(await client.exists(outboxKeys.refused(base))).toBe(0)
  }
  client.destroy()
}

const isEnd = ({ eventType }: Event) => /^STREAM_(COMPLETED|CANCELLED|ERROR)$/.test(eventType)

function expectEvents(events: readonly Event[], chats: readonly StackChat[], isLossy: boolean) {
  const bySession = Map.groupBy(events, ({ sessionId }) => sessionId)
  for (const { watcher, messageId = '', text, outcome = '' } of chats) {
    const own = bySession.get(watcher.sessionId) ?? []
    const texts = watcher.answers.get(messageId)?.chunks ?? []
    const told = own as unknown as Parameters<typeof faultsOverEpochs>[0]
    const faults = faultsOverEpochs(told, new Map([[messageId, { texts, outcome }]]), { isLossy })
    expect(faults).toEqual([])
    const answered = own.filter((event) => 'messageId' in event && event.messageId === messageId)
    const types = own.map(({ eventType }) => eventType)
    // Nobody may be asked twice, whatever was repeated.
    expect(types.filter((type) => type === 'STREAM_STARTED')).toHaveLength(1)
    const ends = answered.filter(isEnd)
    if (!isLossy) expect(ends).toHaveLength(1)
    const said = answered.filter(({ eventType }) => eventType === 'CHAT_MESSAGE').at(-1)
    expect(said).toMatchObject({ role: 'assistant', status: outcome, content: text })
  }
}

/** Rows equal events: by id, and messages by what they say. */
async function expectRows({ db }: Database, events: readonly Event[]): Promise<void> {
  const audited = events.filter(({ eventType }) => eventType !== 'CHUNK_RECEIVED')
  const wanted = new Set(audited.map(({ eventId }) => eventId))
  const rows = async () => {
    const found = await db.execute<{ event_id: string }>(
      sql`select event_id from audit_logs where source like '%-events'`,
    )
    return found.map(({ event_id: id }) => id)
  }
  // Connections come and go while we look: none of ours may be missing, and none stands twice.
  await until(
    async () => {
      const there = new Set(await rows().catch(() => []))
      return [...wanted].every((id) => there.has(id))
    },
    { timeoutMs: patienceMs, everyMs: 250, what: 'the audit has every event' },
  )
  const ids = await rows()
  expect(new Set(ids).size).toBe(ids.length)
  const messages = events.filter(({ eventType }) => eventType === 'CHAT_MESSAGE')
  const kept = await until(
    async () => {
      const found = await db.execute<{ message_id: string; content: string; outcome: string }>(
        sql`select message_id, content, outcome from messages`,
      )
      return found.length >= new Set(messages.map(idOf)).size ? found : null
    },
    { timeoutMs: patienceMs, everyMs: 250, what: 'history has every message' },
  )
  const byId = new Map(kept?.map((row) => [row.message_id, row]))
  expect(byId.size).toBe(kept?.length ?? 0)
  // Of two ends of one message the later stands, in every projection.
  for (const last of new Map(messages.map((event) => [idOf(event), event])).values()) {
    const { content, status: outcome } = last as Event & { content: string; status: string }
    expect(byId.get(idOf(last))).toMatchObject({ content, outcome })
  }
}

const idOf = (event: Event) => ('messageId' in event ? String(event.messageId) : '')

/** What a node says of it, whichever is asked. */
async function expectTold(url: string, events: readonly Event[], chats: readonly StackChat[]) {
  expect(events.length).toBeGreaterThan(chats.length)
  for (const { messageId, text, outcome, watcher } of chats) {
    const response = await fetch(`${url}/api/messages/${messageId}`)
    expect(await response.json()).toMatchObject({ status: 'finished', outcome, text })
    const history = await fetch(`${url}/api/history/${watcher.sessionId}`)
    const { messages } = (await history.json()) as { messages: { content: string }[] }
    expect(messages.map(({ content }) => content).at(-1)).toBe(text)
  }
}
