import { expect, test } from 'bun:test'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore, type Store } from '#eventlog/sqlite/store.ts'
import { sqliteGenerations } from '#gateway/generations/sqlite/sqlite-generations.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd, opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import type { Acknowledged } from './generations-crash-child.ts'
import {
  answer,
  appendStep,
  beginStep,
  claimStep,
  eraseStep,
  eventOf,
  eventsOf,
  type Fixture,
  faultsOf,
  finishStep,
  listen,
  newSession,
  optionsDefault,
  readAll,
  runOf,
  textsOf,
} from './generations-kit.ts'

interface Open extends Fixture {
  store: Store
  close(): Promise<void>
}

function open(dataDir: string, { wrap = (store: Store) => store, seesAll = false } = {}): Open {
  const store = openStore({ dataDir })
  let aheadMs = 0
  const now = () => Date.now() + aheadMs
  const generations = sqliteGenerations(wrap(store), optionsDefault, { now, sweepMs: 10, seesAll })
  const log = sqliteLog(store)
  let isOpen = true
  const close = async () => {
    if (!isOpen) return
    isOpen = false
    await generations[Symbol.asyncDispose]()
    await log[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  }
  atEnd(close)
  const advance = async (ms: number) => {
    aheadMs += ms
  }
  return { generations, log, advance, store, close }
}

/** A store whose transactions can be made to fail at their end, as on a full disk. */
function failing(): { wrap(store: Store): Store; isFailing: boolean } {
  const control = {
    isFailing: false,
    wrap: (store: Store): Store =>
      new Proxy(store, {
        get(target, name) {
          if (name !== 'transact') {
            const value: unknown = Reflect.get(target, name, target)
            return typeof value === 'function' ? value.bind(target) : value
          }
          return <T>(work: () => T): T =>
            target.transact(() => {
              const result = work()
              if (control.isFailing) throw new Error('database or disk is full')
              return result
            })
        },
      }),
  }
  return control
}

function journalRows({ store }: Open): number | undefined {
  return store.db.query<{ n: number }, []>('select count(*) as n from hot_journal').get()?.n
}

async function killedOwner(dataDir: string, rounds: number, runChunks: number) {
  const child = Bun.spawn({
    cmd: ['bun', `${import.meta.dir}/generations-crash-child.ts`, dataDir, '8', `${runChunks}`],
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const closed = opened(`owner ${child.pid}`)
  let said = ''
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const bytes of child.stdout) said += decoder.decode(bytes, { stream: true })
  })()
  await until(() => said.split('\n').length > rounds * 8, { timeoutMs: 15_000 })
  child.kill('SIGKILL')
  await child.exited
  await reading
  closed()
  const last = new Map<string, Acknowledged>()
  for (const text of said.split('\n').slice(0, -1)) {
    const line = JSON.parse(text) as Acknowledged
    last.set(line.messageId, line)
  }
  return [...last.values()]
}

for (const [rounds, runChunks] of [
  [3, 5],
  [40, 30],
  [150, 100],
] as const) {
  test(`what was acknowledged is there after kill -9, and can be ended at once (${rounds} rounds)`, async () => {
    const dataDir = tempDir()
    const lines = await killedOwner(dataDir, rounds, runChunks)
    const fixture = open(dataDir)
    const { generations } = fixture
    const active = lines.filter((line) => !line.isEnded)
    // A question may have been stored, or an answer ended, without the word of it getting out.
    const lapsed = new Set(await generations.lapsed())
    expect(active.filter((line) => lapsed.has(line.messageId)).length).toBeGreaterThan(6)
    for (const line of lines) {
      const { sessionId, messageId, epoch } = line
      const found = await generations.find(messageId)
      expect(found).toMatchObject({ epoch, requestId: 'r1' })
      const next = found?.next ?? 0
      expect(next).toBeGreaterThanOrEqual(line.next)
      if (line.isEnded) expect(found).toMatchObject({ outcome: 'completed', next: line.next })
      const texts = Array.from({ length: next }, (_, index) => `${index} `)
      const read = textsOf(await readAll(fixture, sessionId, { epoch, seq: 0 }))
      expect(read.slice(0, next + 1)).toEqual(['started', ...texts])
      const claim = claimStep(messageId, { intent: 'owner_lost', onlyLapsed: true })
      const claimed = await generations.claim(claim)
      if (found?.outcome === undefined) {
        if (claimed.is !== 'claimed') throw new Error(claimed.is)
        expect(claimed.told).toBeGreaterThanOrEqual(line.told)
        const { userMessageId, tenantId, userId } = claimed.generation
        const session = { sessionId, tenantId, userId }
        const owned = { session, messageId, userMessageId, token: claim.token }
        const runs = claimed.told < next ? [runOf(owned, claimed.told, next)] : []
        const end = finishStep(owned, next, { runs, outcome: 'interrupted' })
        expect(await generations.finish(end)).toEqual({ is: 'applied' })
      }
      expect(faultsOf(await eventsOf(fixture, sessionId), next + 2)).toEqual([])
    }
  })
}

test('all is as it was after closing and opening again', async () => {
  const dataDir = tempDir()
  const first = open(dataDir)
  const session = newSession()
  const { begin: ended, finish } = await answer(first, session, ['a'], { requestId: 'r1' })
  const erased = newSession()
  await answer(first, erased, ['b'])
  const erase = eraseStep(erased)
  await first.generations.erase(erase)
  const begin = beginStep(session)
  await first.generations.begin(begin)
  await first.generations.append([appendStep(begin, 0, ['c', 'd'], [runOf(begin, 0, 1)])])
  await first.generations.append([appendStep(begin, 2, [], [runOf(begin, 1, 2)])])
  const before = await first.generations.snapshot(session.sessionId)
  await first.close()

  const second = open(dataDir)
  const { generations } = second
  expect(await generations.snapshot(session.sessionId)).toEqual(before)
  expect(await generations.begin(ended)).toMatchObject({ is: 'already' })
  expect(await generations.finish(finish)).toMatchObject({ is: 'already' })
  expect(await generations.request(session, 'r1')).toMatchObject({ messageId: ended.messageId })
  expect(await generations.erase(erase)).toMatchObject({ is: 'already', seq: 4 })
  const { epoch = 0 } = before ?? {}
  expect(textsOf(await readAll(second, session.sessionId, { epoch, seq: 2 }))).toEqual([
    'done',
    'started',
    'c',
    'd',
  ])
  expect(await generations.lapsed()).toEqual([begin.messageId])
  // Nobody has claimed it: a step of its owner that is late is still its owner's.
  expect(
    await generations.append([appendStep(begin, 0, ['c', 'd'], [runOf(begin, 0, 1)])]),
  ).toEqual([{ is: 'already' }])
  expect(await generations.finish(finishStep(begin, 2))).toEqual({ is: 'applied' })
  expect(faultsOf(await eventsOf(second, session.sessionId), 7)).toEqual([])
})

test('a session that came back is not forgotten half by a start', async () => {
  const dataDir = tempDir()
  const session = newSession()
  const last = { epoch: 1_000, seq: 7 }
  const first = open(dataDir)
  await first.generations.restore({ ...session, last, messages: [], hasOlder: true }, Date.now())
  const before = await first.generations.snapshot(session.sessionId)
  const event = eventOf(session, 'CLIENT_CONNECTED')
  first.generations.tell([{ ...event, json: `${event.json}}` }])
  await first.close()
  const second = open(dataDir)
  expect(await second.generations.snapshot(session.sessionId)).toEqual(before)
  await answer(second, session, ['a'])
  const events = await eventsOf(second, session.sessionId)
  const types = events.map((each) => each.eventType)
  expect(types.toSorted()).toEqual([
    'CHAT_MESSAGE',
    'CHAT_MESSAGE',
    'CHUNK_RECEIVED',
    'CLIENT_CONNECTED',
    'STREAM_COMPLETED',
    'STREAM_STARTED',
  ])
  const telling = events.filter((each) => each['previous'] !== undefined)
  expect(telling).toMatchObject([{ seq: 1, previous: last }])
  await second.advance(optionsDefault.historyTtlMs * 2)
  await until(async () => (await second.generations.session(session.sessionId)) === null)
})

test('epochs grow though the clock goes back, over a start too', async () => {
  const dataDir = tempDir()
  const epochs: number[] = []
  for (const aheadMs of [0, -3_600_000]) {
    const fixture = open(dataDir)
    await fixture.advance(aheadMs)
    for (let count = 0; count < 3; count += 1) {
      const input = { session: newSession(), at: Date.now(), ifAbsent: 'create' as const }
      const opened = await fixture.generations.open(input)
      if (opened.is === 'open') epochs.push(opened.epoch)
      await fixture.advance(-1_000)
    }
    await fixture.close()
  }
  expect(new Set(epochs).size).toBe(6)
  expect(epochs).toEqual(epochs.toSorted((a, b) => a - b))
})

test('a transaction that fails leaves nothing behind, and the step can be made again', async () => {
  const disk = failing()
  const fixture = open(tempDir(), { wrap: disk.wrap })
  const { generations } = fixture
  const session = newSession()
  const begin = beginStep(session)
  await generations.begin(begin)
  await generations.append([appendStep(begin, 0, ['a', 'b'], [runOf(begin, 0, 1)])])
  const ear = await listen(fixture, session.sessionId)
  const step = appendStep(begin, 2, ['c', 'd'], [runOf(begin, 1, 4)])
  const finish = finishStep(begin, 4)
  const other = beginStep(newSession())
  const claim = claimStep(begin.messageId)
  const event = { ...begin.sessionStarted, json: `${begin.sessionStarted.json}}` }

  disk.isFailing = true
  generations.tell([event])
  await expect(generations.append([step])).rejects.toThrow('disk is full')
  await expect(generations.begin(other)).rejects.toThrow('disk is full')
  await expect(generations.claim(claim)).rejects.toThrow('disk is full')
  await expect(generations.snapshot(session.sessionId)).rejects.toThrow('disk is full')
  expect(await generations.health()).toEqual({ state: 'down', reason: 'database or disk is full' })
  expect(ear.heard).toEqual([])
  disk.isFailing = false
  expect(await generations.health()).toEqual({ state: 'up' })
  expect(journalRows(fixture)).toBe(0)

  expect(await generations.lapsed()).toEqual([])
  expect(await generations.find(begin.messageId)).toMatchObject({ next: 2 })
  expect(await generations.find(other.messageId)).toBeNull()
  expect(await generations.append([step])).toEqual([{ is: 'applied' }])
  expect(await generations.finish(finish)).toEqual({ is: 'applied' })
  expect(ear.heard.map((live) => live.type)).toEqual(['moved', 'steps', 'steps'])
  ear.close()
  await until(async () => (await eventsOf(fixture, session.sessionId)).length === 8)
  const events = await eventsOf(fixture, session.sessionId)
  expect(events.filter((each) => each.eventType === 'SESSION_STARTED')).toHaveLength(2)
  const ofSteps = events.filter((each) => each['seq'] !== undefined)
  expect(faultsOf(ofSteps, 6)).toEqual([])
})

test('no row holds text of an erased session', async () => {
  const fixture = open(tempDir())
  const { generations, store } = fixture
  const session = newSession()
  const other = beginStep(newSession())
  await generations.begin(other)
  const begin = beginStep(session)
  await generations.begin(begin)
  const both = [appendStep(begin, 0, ['confidential']), appendStep(other, 0, ['harmless'])]
  await generations.append(both)
  const finish = finishStep(begin, 1, { runs: [runOf(begin, 0, 1)], content: 'confidential' })
  await generations.finish(finish)
  const tables = store.db
    .query<{ name: string }, []>(
      `select name from sqlite_master where name like 'hot_%' and type = 'table'`,
    )
    .all()
  const holds = (text: string) =>
    tables.some(({ name }) =>
      JSON.stringify(store.db.query(`select * from ${name}`).all()).includes(text),
    )
  expect(holds('confidential')).toBe(true)
  await generations.erase(eraseStep(session))
  expect(holds('confidential')).toBe(false)
  expect(holds('harmless')).toBe(true)
  const { epoch = 0 } = (await generations.snapshot(other.session.sessionId)) ?? {}
  const steps = await readAll(fixture, other.session.sessionId, { epoch, seq: 1 })
  expect(textsOf(steps)).toEqual(['harmless'])
})

test('chunks leave the journal after a while, also those of a slow answer', async () => {
  const fixture = open(tempDir())
  const { generations } = fixture
  const begin = beginStep(newSession())
  await generations.begin(begin)
  await generations.append([appendStep(begin, 0, ['a'])])
  expect(journalRows(fixture)).toBe(1)
  await Bun.sleep(20)
  await fixture.advance(11_000)
  await until(() => journalRows(fixture) === 0)
  await generations.append([appendStep(begin, 1, ['b'])])
  const { epoch = 0 } = (await generations.snapshot(begin.session.sessionId)) ?? {}
  expect(textsOf(await readAll(fixture, begin.session.sessionId, { epoch, seq: 1 }))).toEqual([
    'a',
    'b',
  ])
})

test('where the file has had every session, only one that it has forgotten may be known to others', async () => {
  const { generations, advance } = open(tempDir(), { seesAll: true })
  const session = newSession()
  const at = Date.now()
  expect(await generations.open({ session, at, ifAbsent: 'ask' })).toMatchObject({ is: 'open' })
  const asked = beginStep(newSession(), { ifAbsent: 'ask' })
  expect(await generations.begin(asked)).toMatchObject({ is: 'applied', seq: 1 })
  await advance(optionsDefault.historyTtlMs + 1)
  await until(async () => (await generations.session(session.sessionId)) === null)
  expect(await generations.open({ session, at, ifAbsent: 'ask' })).toEqual({ is: 'absent' })
  expect(await generations.begin(beginStep(session, { ifAbsent: 'ask' }))).toEqual({ is: 'absent' })
})
