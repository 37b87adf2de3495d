import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import type { Database } from '#db/client.ts'
import { isOutage } from '#db/errors.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore, type Store } from '#eventlog/sqlite/store.ts'
import { decodeRecord } from '#events/codec.ts'
import type { Event } from '#events/event.ts'
import { topics } from '#events/topics.ts'
import { tell } from '#gateway/embedded/back-office-messages.ts'
import { BackOfficeThread } from '#gateway/embedded/back-office-thread.ts'
import { type BackOffice, createBackOffice } from '#gateway/embedded/start-back-office.ts'
import { quietLog } from '#runtime/log.ts'
import { Teller } from '../contract/consumers-events.ts'
import { framesOf } from '../contract/consumers-replay.ts'
import { tempDir } from '../support/temp.ts'
import { opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'

// A new Postgres takes seconds, of a busy machine many: all tests share one folder, made first.
const startMs = 120_000
let dataDir = ''
let store: Store
let office: BackOffice

const open = () => {
  store = openStore({ dataDir })
  office = createBackOffice({ dataDir, nodeId: 'n1', log: quietLog, logLevel: 'error' })
}
const isUp = () =>
  until(async () => (await office.dependencies.consumers()).state === 'up', {
    what: 'the back office is up',
    timeoutMs: startMs,
    everyMs: 20,
  })
const close = async () => {
  await office.stop()
  store[Symbol.dispose]()
}

beforeAll(async () => {
  dataDir = tempDir()
  open()
}, startMs)
afterAll(close)

async function numberOf(database: Database, query: ReturnType<typeof sql>): Promise<number> {
  const [row] = await database.db.execute<{ n: number }>(query)
  return Number(row?.n ?? 0)
}
const audited = (session: string) => sql`
  select count(*)::int as n from audit_logs where session_id like ${`${session}%`}`
const who = { userId: 'ada', tenantId: 'default', roles: ['auditor'] }
const ask = (path: string, headers: Record<string, string> = {}) =>
  office.forwardReplay(new Request(`http://h/api/replay/${path}`, { headers }), who)

describe('the back office', () => {
  test('is down and says so until it has started; Postgres is away, not wrong', async () => {
    expect(await office.dependencies.consumers()).toMatchObject({ state: 'down' })
    expect(await office.database.health()).toMatchObject({ state: 'down' })
    const refused = await ask('sessions/s').catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'unavailable' })
  })

  test(
    'writes down what the main thread stores, and answers it from there',
    async () => {
      office.start()
      const teller = new Teller('b1')
      teller.chat()
      teller.chat({ outcome: 'cancelled' })
      store.transact(() => store.append(teller.records()))
      await isUp()
      expect(await office.dependencies.replay()).toEqual({ state: 'up' })
      expect(await office.database.health()).toEqual({ state: 'up' })
      const { database } = office
      await until(async () => (await numberOf(database, audited('b1'))) === 9, {
        timeoutMs: 10_000,
      })
      const texts = await database.db.execute<{ content: string }>(
        sql`select content from messages where session_id = 'b1' order by epoch, seq, role desc`,
      )
      expect(texts.map(({ content }) => content)).toEqual(['Why?', 'Because', 'Why?', 'Because'])
      const cancelled = sql`select sum(sum)::int as n from analytics_minutes
      where metric = 'analytics.streams.cancelled'`
      await until(async () => (await numberOf(database, cancelled)) === 1)
    },
    startMs,
  )

  test('serves replay to whoever the gateway lets in, in each format', async () => {
    const body = (await (await ask('sessions/b1')).json()) as Record<string, unknown>
    expect(body).toMatchObject({ sessionId: 'b1', count: 11, complete: true })
    const stream = await ask(`topics/${topics.stream}?sessionId=b1`, {
      accept: 'text/event-stream',
    })
    expect(stream.headers.get('content-type')).toBe('text/event-stream')
    const frames = framesOf(await stream.text())
    expect(frames.map(({ event }) => event).at(-1)).toBe('end')
    const rest = await ask(`topics/${topics.stream}?sessionId=b1`, {
      accept: 'text/event-stream',
      'last-event-id': String(frames[2]?.id),
    })
    expect(framesOf(await rest.text())).toHaveLength(frames.length - 3)
    const missing = await ask('sessions/nobody')
    expect(missing.status).toBe(404)
    const { database } = office
    const facts = sql`select count(*)::int as n from audit_logs
      where source = 'replay' and user_id = 'ada' and event_type = 'REPLAY_FINISHED'`
    await until(async () => (await numberOf(database, facts)) === 4)
  })

  test('says that a statement is wrong when it is, and not that Postgres is away', async () => {
    const error = await office.database.db
      .execute(sql`select 1 / 0`)
      .catch((failure: unknown) => failure)
    expect(isOutage(error)).toBe(false)
  })

  test(
    'stops when what it has in hand is done, and goes on from there',
    async () => {
      const teller = new Teller('b2')
      teller.chat()
      store.transact(() => store.append(teller.records()))
      await close()
      const error = await office.database.db
        .execute(sql`select 1`)
        .catch((failure: unknown) => failure)
      expect(isOutage(error)).toBe(true)
      open()
      office.start()
      await isUp()
      const { database } = office
      await until(async () => (await numberOf(database, audited('b2'))) === 5, {
        timeoutMs: 10_000,
      })
    },
    startMs,
  )

  test(
    'killed in the middle, again and again, it has every event in the end, each once',
    async () => {
      await close()
      for (let round = 0; round < 2; round += 1) await killedChild(`k${round}`, 20 + round * 10)
      open()
      office.start()
      await isUp()
      const events = await eventsOf(store)
      const { database } = office
      const told = events.filter(({ eventType }) => eventType !== 'CHUNK_RECEIVED')
      const all = sql`select count(*)::int as n from audit_logs where source <> 'replay'`
      await until(async () => (await numberOf(database, all)) >= told.length, { timeoutMs: 30_000 })
      const ids = await database.db.execute<{ id: string }>(
        sql`select event_id::text as id from audit_logs where source <> 'replay' order by 1`,
      )
      expect(ids.map(({ id }) => id)).toEqual(told.map(({ eventId }) => eventId).sort())
      const total = (type: string) => events.filter(({ eventType }) => eventType === type).length
      const counted = (metric: string) => sql`
      select sum(sum)::int as n from analytics_minutes where metric = ${metric}`
      for (const [metric, type] of [
        ['analytics.streams.completed', 'STREAM_COMPLETED'],
        ['analytics.errors.stream', 'STREAM_ERROR'],
        ['analytics.sessions.started', 'SESSION_STARTED'],
      ] as const) {
        await until(async () => (await numberOf(database, counted(metric))) >= total(type))
        expect(await numberOf(database, counted(metric))).toBe(total(type))
      }
      const messages = sql`select count(*)::int as n from messages where content is not null`
      await until(async () => (await numberOf(database, messages)) >= total('CHAT_MESSAGE'))
      expect(await numberOf(database, messages)).toBe(total('CHAT_MESSAGE'))
    },
    3 * startMs,
  )
})

describe('a back office that ends by itself', () => {
  test(
    'is said to be down, with the reason, and started again until it runs',
    async () => {
      await close()
      open()
      await office.stop()
      const folder = join(tempDir(), 'not-there-yet')
      const lost: string[] = []
      const thread = new BackOfficeThread({
        config: {
          ...{ dataDir, nodeId: 'n1', logLevel: 'error', env: {}, partitionBy: 'month' },
          ...{ socketPath: join(folder, 'replay'), secret: 'secret' },
        },
        log: quietLog,
        lost: (reason) => lost.push(reason),
      })
      const closed = opened('a back office')
      thread.start()
      await until(() => lost.length > 0, { timeoutMs: startMs, what: 'it has ended' })
      expect(thread.life()).toMatchObject({
        state: 'down',
        reason: expect.stringContaining('starts again'),
      })
      mkdirSync(folder)
      await until(() => thread.consumers().state === 'up', { timeoutMs: startMs, what: 'it is up' })
      const answers = () =>
        fetch('http://h/api/replay/sessions/b1', { unix: join(folder, 'replay') }).then(
          ({ status }) => status,
        )
      expect(await answers()).toBe(401)
      // A message that nobody sends fails where nothing catches it: as good as a bug.
      lost.length = 0
      tell(thread, { is: 'start', config: null as never })
      await until(() => lost.length > 0, { timeoutMs: startMs, what: 'it has ended again' })
      await until(() => thread.consumers().state === 'up', { timeoutMs: startMs, what: 'it is up' })
      expect(await answers()).toBe(401)
      await thread.stop()
      expect(lost.at(-1)).toBe('is stopped')
      closed()
    },
    2 * startMs,
  )
})

/** Runs the child until it has told so many chats with its consumers at work, then kills it. */
async function killedChild(name: string, chats: number): Promise<void> {
  const path = fileURLToPath(new URL('../contract/consumers-child.ts', import.meta.url))
  const child = Bun.spawn([process.execPath, path, dataDir, name], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const closed = opened(`child ${name}`)
  let told = 0
  for await (const bytes of child.stdout) {
    told += bytes.length
    if (told >= chats) break
  }
  child.kill('SIGKILL')
  await child.exited
  closed()
  expect(told).toBeGreaterThanOrEqual(chats)
}

async function eventsOf(from: Store): Promise<Event[]> {
  const log = sqliteLog(from)
  const events: Event[] = []
  for (const topic of Object.values(topics)) {
    for (const range of (await log.kept(topic)) ?? []) {
      for await (const page of log.read(range, new AbortController().signal)) {
        for (const record of page) {
          const decoded = decodeRecord(record)
          if (decoded.is === 'event') events.push(decoded.event)
        }
      }
    }
  }
  return events
}
