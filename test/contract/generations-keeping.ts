import { expect, test } from 'bun:test'
import { type ColdSession, historyMessagesMax } from '#gateway/generations/generations.ts'
import { until } from '../support/until.ts'
import {
  answer,
  appendStep,
  beginStep,
  claimStep,
  eraseStep,
  eventsOf,
  finishStep,
  listen,
  type MakeFixture,
  newSession,
  readAll,
  textsOf,
  userMessage,
} from './generations-kit.ts'

const dayMs = 86_400_000
const resumeTtlMs = 60_000
const historyTtlMs = 600_000

/** How long things are kept, and how a session comes back. */
export function keepingContract(make: MakeFixture): void {
  const makeShort = () => make({ resumeTtlMs, historyTtlMs })

  test('a session is attended as long as somebody watches it', async () => {
    const { generations } = await make()
    const [{ sessionId }, other] = [newSession(), newSession()]
    const isAttended = () => generations.isAttended(sessionId)
    expect(await isAttended()).toBe(false)
    const [first, second] = [generations.attend(sessionId), generations.attend(sessionId)]
    expect(await isAttended()).toBe(true)
    first.close()
    first.close()
    expect(await isAttended()).toBe(true)
    expect(await generations.isAttended(other.sessionId)).toBe(false)
    second.close()
    expect(await isAttended()).toBe(false)
    const again = generations.attend(sessionId)
    expect(await isAttended()).toBe(true)
    again.close()
    expect(await isAttended()).toBe(false)
  })

  test('the log goes a while after the end, history stays', async () => {
    const fixture = await makeShort()
    const { generations } = fixture
    const session = newSession()
    const { sessionId } = session
    await answer(fixture, session, ['a'])
    const { epoch = 0 } = (await generations.snapshot(sessionId)) ?? {}
    const read = (seq: number) => generations.read(sessionId, { epoch, seq }, 10, 1_000)
    await fixture.advance(resumeTtlMs / 2)
    expect(await read(0)).toMatchObject({ is: 'steps' })
    expect(await read(3)).not.toHaveProperty('forgotten')
    await fixture.advance(resumeTtlMs)
    await until(async () => (await read(0)).is === 'snapshot')
    for (const seq of [0, 1, 2])
      expect(await read(seq)).toEqual({ is: 'snapshot', reason: 'expired' })
    expect(await read(3)).toMatchObject({ is: 'steps', steps: [], forgotten: true })
    expect(await read(4)).toEqual({ is: 'snapshot', reason: 'ahead' })
    expect(await generations.snapshot(sessionId)).toMatchObject({ epoch, seq: 3 })
    expect((await generations.snapshot(sessionId))?.history).toHaveLength(2)

    await generations.begin(beginStep(session))
    expect(textsOf(await readAll(fixture, sessionId, { epoch, seq: 3 }))).toEqual(['started'])
    expect(await read(2)).toEqual({ is: 'snapshot', reason: 'expired' })
  })

  test('a session in steady use loses the steps of answers that ended long ago', async () => {
    const fixture = await makeShort()
    const { generations } = fixture
    const session = newSession()
    for (let index = 0; index < 4; index += 1) {
      await answer(fixture, session, [`${index}`])
      await fixture.advance(resumeTtlMs * 0.6)
    }
    await generations.begin(beginStep(session))
    const { epoch = 0 } = (await generations.snapshot(session.sessionId)) ?? {}
    const after = { epoch, seq: 0 }
    expect(await generations.read(session.sessionId, after, 10, 1_000)).toEqual({
      is: 'snapshot',
      reason: 'expired',
    })
    const kept = await readAll(fixture, session.sessionId, { epoch, seq: 9 })
    expect(textsOf(kept)).toEqual(['started', '3', 'done', 'started'])
  })

  test('an active answer keeps its session and log whatever the time', async () => {
    const fixture = await makeShort()
    const { generations } = fixture
    const begin = beginStep(newSession())
    await generations.begin(begin)
    await generations.append([appendStep(begin, 0, ['a'])])
    const { epoch = 0 } = (await generations.snapshot(begin.session.sessionId)) ?? {}
    const idle = newSession()
    await generations.open({ session: idle, at: Date.now(), ifAbsent: 'create' })
    await fixture.advance(2 * dayMs)
    await until(async () => (await generations.session(idle.sessionId)) === null)
    const steps = await readAll(fixture, begin.session.sessionId, { epoch, seq: 0 })
    expect(textsOf(steps)).toEqual(['started', 'a'])
    expect(await generations.append([appendStep(begin, 1, ['b'])])).toEqual([{ is: 'applied' }])
  })

  test('after its last use a session is forgotten, but not its answers and keys for a day', async () => {
    const fixture = await makeShort()
    const { generations } = fixture
    const session = newSession()
    const { begin, finish } = await answer(fixture, session, ['a'], { requestId: 'r1' })
    const erased = newSession()
    await answer(fixture, erased, ['b'])
    const erase = eraseStep(erased)
    const first = await generations.erase(erase)
    await fixture.advance(historyTtlMs / 2)
    await generations.open({ session, at: Date.now(), ifAbsent: 'ask' })
    await fixture.advance(historyTtlMs * 0.75)
    await until(async () => (await generations.session(erased.sessionId)) === null)
    expect(await generations.session(session.sessionId)).toEqual(session)
    await fixture.advance(historyTtlMs)
    await until(async () => (await generations.session(session.sessionId)) === null)

    expect(await generations.open({ session, at: Date.now(), ifAbsent: 'ask' })).toEqual({
      is: 'absent',
    })
    const absent = beginStep(session, { requestId: 'r2', ifAbsent: 'ask' })
    expect(await generations.begin(absent)).toEqual({ is: 'absent' })
    expect(await generations.request(session, 'r2')).toBeNull()
    expect(await generations.session(session.sessionId)).toBeNull()
    expect(await generations.snapshot(session.sessionId)).toBeNull()
    const read = await generations.read(session.sessionId, { epoch: 1, seq: 1 }, 10, 1_000)
    expect(read).toEqual({ is: 'absent' })
    const tombstone = await generations.find(begin.messageId)
    expect(tombstone).toMatchObject({ outcome: 'completed', erased: false })
    expect(tombstone).not.toHaveProperty('message')
    const ids = { messageId: begin.messageId, userMessageId: begin.userMessageId }
    expect(await generations.begin(begin)).toEqual({ is: 'already', ...ids })
    expect(await generations.append([appendStep(begin, 1, ['x'])])).toEqual([{ is: 'refused' }])
    expect(await generations.finish(finish)).toEqual({ is: 'already', outcome: 'completed' })
    expect(await generations.claim(claimStep(begin.messageId))).toMatchObject({ is: 'ended' })
    if (first.is !== 'applied') throw new Error(first.is)
    expect(await generations.erase(erase)).toEqual({ ...first, is: 'already' })
    expect(await generations.session(session.sessionId)).toBeNull()

    await fixture.advance(dayMs)
    await until(async () => (await generations.find(begin.messageId)) === null)
    expect(await generations.request(session, 'r1')).toBeNull()
    await until(async () => (await generations.erase(erase)).is === 'absent')
  })

  test('a session that is watched is not forgotten', async () => {
    const fixture = await makeShort()
    const { generations } = fixture
    const session = newSession()
    const other = newSession()
    await answer(fixture, session, ['a'])
    await answer(fixture, other, ['b'])
    const ear = await listen(fixture, session.sessionId)
    await fixture.advance(historyTtlMs * 2)
    await until(async () => (await generations.session(other.sessionId)) === null)
    expect(await generations.session(session.sessionId)).toEqual(session)
    ear.close()
    await fixture.advance(historyTtlMs * 2)
    await until(async () => (await generations.session(session.sessionId)) === null)
  })

  test('a cold session comes back under a new epoch that tells of the one before', async () => {
    const fixture = await make()
    const { generations } = fixture
    const cold = coldSession()
    const ear = await listen(fixture, cold.sessionId)
    await generations.restore(cold, Date.now())
    const { sessionId, tenantId, userId, last } = cold
    const session = { sessionId, tenantId, userId }
    const snapshot = await generations.snapshot(sessionId)
    expect(snapshot).toMatchObject({ ...session, seq: 0, history: cold.messages, hasOlder: true })
    const epoch = snapshot?.epoch ?? 0
    expect(epoch).toBeGreaterThan(last.epoch)
    expect(ear.heard).toEqual([{ type: 'moved' }])
    ear.close()
    const stale = await generations.read(sessionId, last, 10, 1_000)
    expect(stale).toEqual({ is: 'snapshot', reason: 'epoch' })
    const live = await generations.read(sessionId, { epoch, seq: 0 }, 10, 1_000)
    expect(live).toMatchObject({ is: 'steps', steps: [], top: 0 })
    expect(live).not.toHaveProperty('forgotten')

    await generations.restore({ ...cold, messages: [], hasOlder: false }, Date.now())
    expect(await generations.snapshot(sessionId)).toEqual(snapshot)
    await answer(fixture, session, ['a'])
    await answer(fixture, session, ['b'])
    const events = await eventsOf(fixture, sessionId)
    const telling = events.filter((event) => event['previous'] !== undefined)
    expect(telling).toHaveLength(1)
    expect(telling[0]).toMatchObject({ epoch, seq: 1, previous: last })
    expect(events.some((event) => event.eventType === 'SESSION_STARTED')).toBe(false)
  })

  test('the first step after a restoration may be an erasure', async () => {
    const fixture = await make()
    const { generations } = fixture
    const cold = coldSession()
    await generations.restore(cold, Date.now())
    const erased = await generations.erase(eraseStep(cold))
    expect(erased).toMatchObject({ is: 'applied', seq: 1 })
    const events = await eventsOf(fixture, cold.sessionId)
    expect(events).toMatchObject([{ eventType: 'HISTORY_ERASED', seq: 1, previous: cold.last }])
    expect(await generations.find(cold.messages[1]?.messageId ?? '')).toMatchObject({
      erased: true,
    })
  })

  test('no answer that came back with its session lives a second time', async () => {
    const { generations } = await make()
    const cold = coldSession()
    await generations.restore(cold, Date.now())
    const answered = cold.messages[1]
    if (answered === undefined) throw new Error('no answer')
    const { messageId } = answered
    const found = await generations.find(messageId)
    expect(found).toMatchObject({ status: 'finished', outcome: 'cancelled', message: answered })
    const late = beginStep(cold, { messageId, userMessageId: cold.messages[0]?.messageId ?? '' })
    expect(await generations.begin(late)).toEqual({
      is: 'already',
      messageId,
      userMessageId: late.userMessageId,
    })
    expect(await generations.append([appendStep(late, 0, ['a'])])).toEqual([{ is: 'refused' }])
    expect(await generations.finish(finishStep(late, 0))).toEqual({ is: 'refused' })
    const claimed = await generations.claim(claimStep(messageId))
    expect(claimed).toMatchObject({ is: 'ended', outcome: 'cancelled' })
    expect((await generations.snapshot(cold.sessionId))?.seq).toBe(0)
  })

  test('a forgotten session that comes back has its answers again, for as long as it is hot', async () => {
    const fixture = await makeShort()
    const { generations } = fixture
    const session = newSession()
    const { begin, finish } = await answer(fixture, session, ['a'])
    const last = { epoch: (await generations.snapshot(session.sessionId))?.epoch ?? 0, seq: 3 }
    await fixture.advance(historyTtlMs * 2)
    await until(async () => (await generations.session(session.sessionId)) === null)
    const question = begin.question === undefined ? [] : [begin.question]
    const messages = [...question, finish.message]
    await generations.restore({ ...session, last, messages, hasOlder: false }, Date.now())
    expect(await generations.find(begin.messageId)).toMatchObject({ message: finish.message })
    expect(await generations.finish(finish)).toEqual({ is: 'already', outcome: 'completed' })
    const ear = await listen(fixture, session.sessionId)
    const other = await answer(fixture, newSession(), ['b'])
    await fixture.advance(2 * dayMs)
    await until(async () => (await generations.find(other.begin.messageId)) === null)
    expect(await generations.find(begin.messageId)).toMatchObject({ message: finish.message })
    ear.close()
  })

  test('more than hot history holds comes back as far as it fits', async () => {
    const { generations } = await make()
    const cold = coldSession()
    const many = Array.from({ length: 60 }, (_, index) => userMessage(cold, `${index}`))
    await generations.restore({ ...cold, messages: many, hasOlder: false }, Date.now())
    const snapshot = await generations.snapshot(cold.sessionId)
    expect(snapshot?.history).toEqual(many.slice(-historyMessagesMax))
    expect(snapshot?.hasOlder).toBe(true)
  })

  test('a request key is free again after a day, also while its session is hot', async () => {
    const fixture = await make({ historyTtlMs: 10 * dayMs })
    const { generations } = fixture
    const session = newSession()
    await answer(fixture, session, ['a'], { requestId: 'r1', digest: 'one' })
    await fixture.advance(dayMs - 60_000)
    expect(await generations.request(session, 'r1')).not.toBeNull()
    await fixture.advance(120_000)
    expect(await generations.request(session, 'r1')).toBeNull()
    const again = beginStep(session, { requestId: 'r1', digest: 'two' })
    expect(await generations.begin(again)).toMatchObject({ is: 'applied' })
    expect(await generations.request(session, 'r1')).toMatchObject({ digest: 'two' })
  })

  test('an epoch only grows, also when the one that Postgres knows is of a clock ahead', async () => {
    const { generations } = await make()
    const last = { epoch: (Date.now() + 5 * dayMs) * 1_000, seq: 9 }
    const cold = { ...coldSession(), last }
    await generations.restore(cold, Date.now())
    const { epoch = 0 } = (await generations.snapshot(cold.sessionId)) ?? {}
    expect(epoch).toBeGreaterThan(last.epoch)
    expect(Number.isSafeInteger(epoch)).toBe(true)
  })
}

function coldSession(): ColdSession {
  const session = newSession()
  const begin = beginStep(session)
  const { message } = finishStep(begin, 5, { content: 'Half', outcome: 'cancelled' })
  const last = { epoch: (Date.now() - 10 * dayMs) * 1_000, seq: 12 }
  const messages = begin.question === undefined ? [message] : [begin.question, message]
  return { ...session, last, messages, hasOlder: true }
}
