import { beforeAll, describe, expect, test } from 'bun:test'
import { auditConsumer } from '#consumers/audit/handle.ts'
import { historyConsumer } from '#consumers/history/handle.ts'
import { replayApp } from '#consumers/replay/app.ts'
import { DatabaseAway } from '#db/errors.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import { quietLog } from '#runtime/log.ts'
import { type Fields, recordFor, Teller } from '../contract/consumers-events.ts'
import { postgresParts, type StoredParts } from '../contract/consumers-parts.ts'
import { ReplayCaller, replaysOf } from '../contract/consumers-replay.ts'
import { Running } from '../contract/consumers-running.ts'
import { until } from '../support/until.ts'

let parts: StoredParts
let caller: ReplayCaller
beforeAll(async () => {
  parts = await postgresParts()
  caller = new ReplayCaller(parts)
})

const index = async () => {
  const running = new Running(parts, [auditConsumer({ log: quietLog }), historyConsumer()])
  await running.settled()
  await running.stop()
}
const produce = (events: Fields[]) => parts.eventLog.produce(events.map(recordFor))
const idsOf = (events: { eventId: string }[]) => events.map(({ eventId }) => eventId)

describe('the replay of a session', () => {
  test('has every event over both topics in the order of its steps, indexed or not', async () => {
    const teller = new Teller('r1')
    teller.chat()
    teller.chat({ answer: ['One', 'Two', 'Three'] })
    const other = new Teller('r1-other')
    other.chat()
    await produce([...teller.events, ...other.events])
    const unindexed = await caller.json('sessions/r1')
    expect(idsOf(unindexed.events)).toEqual(idsOf(teller.events))
    await index()
    teller.chat()
    await produce(teller.events.slice(11))
    const half = await caller.json('sessions/r1')
    await index()
    const indexed = await caller.json('sessions/r1')
    for (const body of [half, indexed]) {
      expect(idsOf(body.events)).toEqual(idsOf(teller.events))
      expect(body).toMatchObject({ status: 200, sessionId: 'r1', count: 16, complete: true })
      expect(body.missing).toBeUndefined()
    }
    const [first, question, , chunk] = indexed.events
    expect(first?._replay).toMatchObject({ topic: 'stream-events', offset: expect.any(Number) })
    expect([question?.['content'], chunk?.['text']]).toEqual(['Why?', 'Because'])
  })

  test('has each event once, though it stands in the log twice', async () => {
    const teller = new Teller('r2')
    teller.chat()
    await produce([...teller.events, ...teller.events])
    await index()
    await produce(teller.events)
    expect(idsOf((await caller.json('sessions/r2')).events)).toEqual(idsOf(teller.events))
  })

  test('says which steps no record tells', async () => {
    const teller = new Teller('r3')
    teller.chat({ answer: ['a', 'b', 'c'] })
    await produce(teller.events.filter(({ eventType }) => eventType !== 'CHUNK_RECEIVED'))
    await index()
    const body = await caller.json('sessions/r3')
    expect(body).toMatchObject({ complete: false, count: 5 })
    expect(body.missing).toEqual([{ epoch: 1_000, fromSeq: 2, toSeq: 4 }])
  })

  test('of one that runs is complete up to now', async () => {
    const teller = new Teller('r4')
    teller.chat({ answer: ['a', 'b', 'c'] })
    await produce(teller.events.slice(0, -2))
    await index()
    expect(await caller.json('sessions/r4')).toMatchObject({ complete: true, count: 4 })
  })

  test('says what retention has deleted, from the first step on', async () => {
    const teller = new Teller('r5', { atMs: Date.now() - 40 * 86_400_000 })
    teller.chat()
    const kept = teller.events.length
    teller.atMs = Date.now() - 60_000
    teller.chat()
    // A log of its own: retention goes up to the first record of a partition that is young.
    const own = await postgresParts()
    await new Running(own, [auditConsumer({ log: quietLog })]).handle(teller.records())
    while (own.store.trim(Date.now()) > 0);
    const body = await new ReplayCaller(own).json('sessions/r5')
    expect(idsOf(body.events)).toEqual(idsOf(teller.events.slice(kept)))
    expect(body.missing).toEqual([{ epoch: 1_000, fromSeq: 1, toSeq: 4 }])
    expect(body.complete).toBe(false)
  })

  test('finds steps that were told again after the end of their answer', async () => {
    const teller = new Teller('r6')
    teller.chat()
    const lost = teller.events.findIndex(({ eventType }) => eventType === 'CHUNK_RECEIVED')
    const [chunk] = teller.events.splice(lost, 1)
    await produce(teller.events)
    await produce([chunk as Fields])
    await index()
    const body = await caller.json('sessions/r6')
    expect(body).toMatchObject({ complete: true, count: 6 })
  })

  test('leaves out text at or before an erasure, whether history knows of it or not', async () => {
    const teller = new Teller('r7')
    teller.chat({ metadata: { kept: true } })
    teller.erase()
    teller.chat({ question: 'After', answer: ['New'] })
    await produce(teller.events)
    for (const _ of ['untold', 'told']) {
      const body = await caller.json('sessions/r7')
      expect(idsOf(body.events)).toEqual(idsOf(teller.events))
      const texts = body.events.map((event) => event['content'] ?? event['text'])
      expect(texts.filter((text) => text !== undefined)).toEqual(['After', 'New', 'New'])
      expect(JSON.stringify(body.events.slice(0, 6))).not.toContain('Because')
      await index()
    }
  })

  test('is not found when nobody has it, nor when another tenant does', async () => {
    const teller = new Teller('r8', { tenantId: 'acme' })
    teller.chat()
    await produce(teller.events)
    await index()
    for (const path of ['sessions/nobody', 'sessions/r8']) {
      const body = await caller.json(path)
      expect([body.status, body.error?.code]).toEqual([404, 'not_found'])
    }
    const theirs = await new ReplayCaller(parts, { tenantId: 'acme' }).json('sessions/r8')
    expect(theirs.count).toBe(6)
  })

  test('goes on behind the limit by its cursor', async () => {
    const teller = new Teller('r9')
    teller.chat()
    await produce(teller.events)
    const seen: string[] = []
    let cursor = ''
    for (let page = 0; page < 3; page += 1) {
      const body = await caller.json(`sessions/r9?limit=2${cursor}`)
      seen.push(...idsOf(body.events))
      expect(body.truncated ?? false).toBe(page < 2)
      cursor = `&cursor=${body.next}`
    }
    expect(seen).toEqual(idsOf(teller.events))
  })

  test('as lines ends with what it was', async () => {
    const teller = new Teller('r10')
    teller.chat()
    await produce(teller.events)
    const lines = await caller.lines('sessions/r10')
    expect(lines.slice(0, -1).map((line) => line['eventId'])).toEqual(idsOf(teller.events))
    expect(lines.at(-1)).toEqual({ _replayEnd: { count: 6, complete: true, missing: [] } })
  })

  test('as events can be cut anywhere and resumed without a gap or a double', async () => {
    const teller = new Teller('r11')
    for (let chat = 0; chat < 3; chat += 1) teller.chat()
    await produce(teller.events)
    await index()
    const frames = await caller.frames('sessions/r11')
    expect(frames.map(({ event }) => event)).toEqual([
      ...teller.events.map(({ eventType }) => eventType),
      'end',
    ])
    expect(frames.at(-1)).toMatchObject({
      id: null,
      data: { count: 16, complete: true, missing: [] },
    })
    for (const [at, frame] of frames.slice(0, -1).entries()) {
      const { partition, offset } = frame.data['_replay'] as Record<string, number>
      expect(String(frame.id).split(':').map(Number)).toEqual([Number(partition), Number(offset)])
      const rest = await caller.frames('sessions/r11', String(frame.id))
      expect(rest.slice(0, -1)).toEqual(frames.slice(at + 1, -1))
    }
  })

  test('is itself in the audit, with how it ended', async () => {
    const teller = new Teller('r12')
    teller.chat()
    await produce(teller.events)
    const as = (userId: string) => new ReplayCaller(parts, { userId })
    await as('one').json('sessions/r12?limit=3')
    await as('two').json('sessions/nobody-has-this')
    const [started, finished] = await replaysOf(parts, 'one')
    expect(started).toMatchObject({
      ...{ event_type: 'REPLAY_STARTED', source: 'replay', session_id: 'r12' },
      event_data: { request: '/api/replay/sessions/r12?limit=3' },
    })
    expect(finished).toMatchObject({
      event_type: 'REPLAY_FINISHED',
      event_data: {
        count: 3,
        complete: true,
        outcome: 'completed',
      },
    })
    const { replayId, durationMs } = finished?.event_data ?? {}
    expect(replayId).toMatch(/^[0-9a-f-]{36}$/)
    expect(started?.event_data['replayId']).toBe(replayId)
    expect(durationMs).toBeNumber()
    const refused = await replaysOf(parts, 'two')
    expect(refused.map(({ event_data }) => event_data['outcome'])).toEqual([undefined, 'not_found'])
  })

  test('that the caller leaves is in the audit as cancelled', async () => {
    const teller = new Teller('r13')
    for (let chat = 0; chat < 200; chat += 1) teller.chat({ question: 'x'.repeat(2_000) })
    await produce(teller.events)
    const leaving = new ReplayCaller(parts, { userId: 'leaver' })
    const response = await leaving.ask('sessions/r13', { accept: 'application/x-ndjson' })
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    const ended = () => replaysOf(parts, 'leaver')
    await until(async () => (await ended()).length === 2)
    expect((await ended())[1]?.event_data).toMatchObject({ outcome: 'cancelled', complete: false })
  })

  test('is refused in the words of whoever authorises, and unavailable without a database', async () => {
    const base = { ...parts, nodeId: 'n1', log: quietLog }
    const request = () => new Request('http://h/api/replay/sessions/r1')
    const forbidding = replayApp({
      ...base,
      authorize: () =>
        Promise.reject(new ContractError('forbidden', 'The role auditor is needed.')),
    })
    const refused = await forbidding.fetch(request())
    expect(refused.status).toBe(403)
    expect(await refused.json()).toMatchObject({ error: { code: 'forbidden', temporary: false } })
    const db = new Proxy(parts.database.db, {
      get: () => () => Promise.reject(new DatabaseAway('gone')),
    })
    const away = replayApp({
      ...base,
      database: { ...parts.database, db },
      authorize: () => Promise.resolve({ userId: 'a', tenantId: 'default' }),
    })
    const answer = await away.fetch(request())
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await answer.json()).toMatchObject({ error: { code: 'unavailable', temporary: true } })
  })
})
