import { beforeAll, describe, expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { analyticsConsumer } from '#consumers/analytics/handle.ts'
import { groups } from '#consumers/groups.ts'
import { historyConsumer } from '#consumers/history/handle.ts'
import { rebuild } from '#consumers/rebuild.ts'
import { topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import type { Parts } from '../contract/consumers-bench.ts'
import { recordFor, Teller, textRecord } from '../contract/consumers-events.ts'
import { postgresParts } from '../contract/consumers-parts.ts'
import { Running } from '../contract/consumers-running.ts'

let parts: Parts
beforeAll(async () => {
  parts = await postgresParts()
})

const rebuilt = (projection: 'history' | 'analytics', signal = new AbortController().signal) =>
  rebuild(projection === 'history' ? historyConsumer() : analyticsConsumer(), projection, {
    ...parts,
    log: quietLog,
    signal,
    now: Date.now,
    progress: () => undefined,
  })
const rows = (text: string) => parts.database.db.execute<Record<string, unknown>>(sql.raw(text))
const history = async () => ({
  messages:
    await rows(`select message_id, session_id, role, content, parts, outcome, chunks, sha256,
    metadata, epoch, seq, erased_at is null as is_kept, search::text from messages order by 1`),
  sessions: await rows('select * from sessions order by session_id'),
})
const analytics = () => rows('select * from analytics_minutes order by metric, minute, labels')

describe('a rebuild of history', () => {
  test('gives the same rows, made anew, and keeps titles and erasures', async () => {
    const kept = new Teller('kept')
    kept.chat({ metadata: { from: 'web' } })
    const erased = new Teller('erased')
    erased.chat({ question: 'Secret?' })
    erased.erase()
    erased.chat({ question: 'After?' })
    const running = new Running(parts, [historyConsumer()])
    await running.handle([...kept.records(), ...erased.records()])
    await running.stop()
    await rows(`update sessions set title = 'Mine' where session_id = 'kept'`)
    const before = await history()
    await rows(`update messages set content = 'wrong' where session_id = 'kept'`)
    await rows(`delete from messages where session_id = 'erased' and role = 'user'`)
    await rows(`insert into sessions (session_id, tenant_id, user_id, created_at)
      values ('ghost', 'default', 'ada', now())`)
    const done = await rebuilt('history')
    expect(done).toMatchObject({ group: groups.history, events: 7, skipped: 0 })
    expect(await history()).toEqual(before)
    expect(JSON.stringify(before.messages)).not.toContain('Secret')
  })

  test('leaves text out that was erased before the log’s first record of it', async () => {
    const teller = new Teller('gone')
    teller.chat({ question: 'Secret?' })
    await rows(`insert into sessions (session_id, tenant_id, user_id, created_at, erased_epoch, erased_seq)
      values ('gone', 'default', 'ada', now(), ${teller.epoch}, ${teller.seq})`)
    await parts.eventLog.produce(teller.records())
    await rebuilt('history')
    const messages = await rows(`select content from messages where session_id = 'gone'`)
    expect(messages).toEqual([{ content: null }, { content: null }])
  })

  test('sets the group’s offsets to what it has read, so that its members go on behind it', async () => {
    const done = await rebuilt('history')
    expect(done.records).toBeGreaterThan(0)
    const ends = (await parts.eventLog.kept(topics.chat)) ?? []
    const offsets = await rows(
      `select partition, next_offset from consumer_offsets where group_id = '${groups.history}' order by 1`,
    )
    expect(offsets).toEqual(ends.map(({ partition, to }) => ({ partition, next_offset: to })))
    const teller = new Teller('later')
    teller.chat()
    await new Running(parts, [historyConsumer()]).handle(teller.records())
    expect(await rows(`select 1 from messages where session_id = 'later'`)).toHaveLength(2)
  })

  test('skips what cannot be read, and changes nothing when it is broken off', async () => {
    await parts.eventLog.produce([textRecord(topics.chat, 'kept', 'broken')])
    expect((await rebuilt('history')).skipped).toBe(1)
    const before = await history()
    const aborted = new AbortController()
    aborted.abort()
    expect(rebuilt('history', aborted.signal)).rejects.toThrow()
    expect(await history()).toEqual(before)
  })

  test('loses nothing that members write meanwhile', async () => {
    const running = new Running(parts, [historyConsumer()])
    const tellers = Array.from({ length: 20 }, (_, at) => new Teller(`busy-${at}`))
    const wrote = (async () => {
      for (const teller of tellers) {
        teller.chat()
        await running.handle(teller.records())
      }
    })()
    for (let round = 0; round < 3; round += 1) await rebuilt('history')
    await wrote
    const [found] = await rows(
      `select count(*)::int as n from messages where session_id like 'busy-%'`,
    )
    expect(found).toEqual({ n: 40 })
  })
})

describe('what the log has no more', () => {
  test('stays as it was, and what it has is made anew', async () => {
    const { store, ...own } = await postgresParts()
    const run = (text: string) => own.database.db.execute<Record<string, unknown>>(sql.raw(text))
    const old = new Teller('old', { atMs: Date.now() - 40 * 86_400_000 })
    old.chat()
    // Another partition, another age: of this one all is there.
    const young = new Teller('young')
    young.chat()
    const running = new Running(own, [historyConsumer(), analyticsConsumer()])
    await running.handle([...old.records(), ...young.records()])
    await running.stop()
    const state = async () => [
      await run('select message_id, content from messages order by 1'),
      await run('select session_id, last_message_at from sessions order by 1'),
      await run('select * from analytics_minutes order by metric, minute, labels'),
    ]
    const before = await state()
    while (store.trim(Date.now()) > 0);
    const kept = (await own.eventLog.kept(topics.chat)) ?? []
    expect(kept.some(({ from }) => from > 0)).toBe(true)
    await run(`update messages set content = 'wrong' where session_id = 'young'`)
    const [minute] = await run(`select max(minute)::text as at from analytics_minutes`)
    await run(`update analytics_minutes set sum = 77 where minute = '${minute?.['at']}'`)
    for (const [name, definition] of [
      ['history', historyConsumer()],
      ['analytics', analyticsConsumer()],
    ] as const) {
      await rebuild(definition, name, {
        ...{ ...own, log: quietLog, now: Date.now, progress: () => undefined },
        signal: new AbortController().signal,
      })
    }
    expect(await state()).toEqual(before)
  })
})

describe('a rebuild of analytics', () => {
  test('gives the same totals, however often events stand in the log and whatever was wrong', async () => {
    const teller = new Teller('counted')
    teller.chat()
    teller.chat({ outcome: 'failed' })
    const running = new Running(parts, [analyticsConsumer()])
    await running.handle([...teller.records(), ...teller.records()])
    await running.stop()
    const before = await analytics()
    expect(before.length).toBeGreaterThan(5)
    await rows('update analytics_minutes set count = count + 1, sum = sum * 3')
    await rebuilt('analytics')
    expect(await analytics()).toEqual(before)
    await rebuilt('analytics')
    expect(await analytics()).toEqual(before)
    await new Running(parts, [analyticsConsumer()]).handle(teller.events.map(recordFor))
    expect(await analytics()).toEqual(before)
  })
})
