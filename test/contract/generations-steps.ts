import { expect, test } from 'bun:test'
import { until } from '../support/until.ts'
import {
  answer,
  appendStep,
  beginStep,
  claimStep,
  eraseStep,
  eventOf,
  eventsOf,
  faultsOf,
  finishStep,
  listen,
  type MakeFixture,
  newSession,
  readAll,
  runOf,
  textsOf,
} from './generations-kit.ts'

/** What each step does, and that doing it again does nothing. */
export function stepsContract(make: MakeFixture): void {
  test('an answer is a row of numbered steps, each told by its events', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const begin = beginStep(session)
    const begun = await generations.begin(begin)
    if (begun.is !== 'applied') throw new Error(begun.is)
    expect(begun.seq).toBe(1)
    const first = appendStep(begin, 0, ['a', 'b'])
    const second = appendStep(begin, 2, ['c', 'd'], [runOf(begin, 0, 3)])
    expect(await generations.append([first])).toEqual([{ is: 'applied' }])
    expect(await generations.append([second])).toEqual([{ is: 'applied' }])
    const finish = finishStep(begin, 4, { runs: [runOf(begin, 3, 4)] })
    expect(await generations.finish(finish)).toEqual({ is: 'applied' })

    const steps = await readAll(fixture, session.sessionId, { epoch: begun.epoch, seq: 0 })
    expect(steps.map((step) => step.seq)).toEqual([1, 2, 3, 4, 5, 6])
    expect(textsOf(steps)).toEqual(['started', 'a', 'b', 'c', 'd', 'done'])
    expect(steps[3]).toEqual({
      type: 'chunk',
      seq: 4,
      messageId: begin.messageId,
      chunkIndex: 2,
      kind: 'text',
      part: 0,
      text: 'c',
    })
    expect(steps[0]).toMatchObject({ messageId: begin.messageId, frame: begin.startedFrame })
    const events = await eventsOf(fixture, session.sessionId)
    expect(faultsOf(events, 6)).toEqual([])
    const places = events.map(({ eventType, epoch, seq, fromSeq }) => [
      eventType,
      epoch,
      seq,
      fromSeq,
    ])
    const { epoch } = begun
    expect(places).toEqual(
      expect.arrayContaining([
        ['SESSION_STARTED', epoch, 1, undefined],
        ['CHAT_MESSAGE', epoch, 1, undefined],
        ['STREAM_STARTED', epoch, 1, undefined],
        ['CHUNK_RECEIVED', epoch, 4, 2],
        ['CHUNK_RECEIVED', epoch, 5, 5],
        ['STREAM_COMPLETED', epoch, 6, undefined],
        ['CHAT_MESSAGE', epoch, 6, undefined],
      ]),
    )
    expect(places).toHaveLength(7)
  })

  test('every step of an answer does nothing when it is done again, at once, later and after the erasure', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const begin = beginStep(session, { requestId: 'r1' })
    const first = appendStep(begin, 0, ['a', 'b'], [runOf(begin, 0, 1)])
    const second = appendStep(begin, 2, ['c'])
    const telling = appendStep(begin, 3, [], [runOf(begin, 1, 2)])
    const finish = finishStep(begin, 3, { runs: [runOf(begin, 2, 3)] })
    const erase = eraseStep(session)
    const ids = { messageId: begin.messageId, userMessageId: begin.userMessageId }
    const steps = [
      { run: () => generations.begin(begin), again: { is: 'already', ...ids } },
      { run: async () => (await generations.append([first]))[0], again: { is: 'already' } },
      { run: async () => (await generations.append([second]))[0], again: { is: 'already' } },
      { run: async () => (await generations.append([telling]))[0], again: { is: 'already' } },
      { run: () => generations.finish(finish), again: { is: 'already', outcome: 'completed' } },
      { run: () => generations.erase(erase), again: { is: 'already', seq: 6 } },
    ]
    for (const [index, step] of steps.entries()) {
      expect(await step.run()).toMatchObject({ is: 'applied' })
      for (const done of steps.slice(0, index + 1)) {
        expect(await done.run()).toMatchObject(done.again)
        expect(await done.run()).toMatchObject(done.again)
      }
    }
    expect(faultsOf(await eventsOf(fixture, session.sessionId), 6)).toEqual([])
    expect((await generations.snapshot(session.sessionId))?.seq).toBe(6)
  })

  test('many answers are appended to in one call, each with its own result', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begins = Array.from({ length: 50 }, () => beginStep(newSession()))
    for (const begin of begins) await generations.begin(begin)
    const steps = begins.flatMap((begin, index) => [
      appendStep(begin, 0, [`a${index}`]),
      appendStep(begin, 1, [`b${index}`], [runOf(begin, 0, 2)]),
    ])
    const stranger = beginStep(newSession())
    const results = await generations.append([...steps, appendStep(stranger, 0, ['x'])])
    expect(results.map((result) => result.is)).toEqual([
      ...steps.map(() => 'applied' as const),
      'lost',
    ])
    for (const [index, begin] of begins.entries()) {
      const { epoch = 0 } = (await generations.snapshot(begin.session.sessionId)) ?? {}
      const read = await readAll(fixture, begin.session.sessionId, { epoch, seq: 1 })
      expect(textsOf(read)).toEqual([`a${index}`, `b${index}`])
    }
  })

  test('an owner that is ahead or half behind is told where the log ends', async () => {
    const { generations } = await make()
    const begin = beginStep(newSession())
    await generations.begin(begin)
    await generations.append([appendStep(begin, 0, ['a', 'b'])])
    expect(await generations.append([appendStep(begin, 3, ['d'])])).toEqual([
      { is: 'behind', next: 2 },
    ])
    expect(await generations.append([appendStep(begin, 1, ['b', 'c'])])).toEqual([
      { is: 'behind', next: 2 },
    ])
    expect(await generations.finish(finishStep(begin, 3))).toEqual({ is: 'behind', next: 2 })
    expect(await generations.finish(finishStep(begin, 1))).toEqual({ is: 'behind', next: 2 })
    expect((await generations.find(begin.messageId))?.next).toBe(2)
  })

  test('runs that do not begin where telling ended change nothing', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = beginStep(newSession())
    await generations.begin(begin)
    await generations.append([appendStep(begin, 0, ['a', 'b', 'c'], [runOf(begin, 0, 2)])])
    const told = { is: 'told' as const, told: 2 }
    const wrong = [[runOf(begin, 0, 4)], [runOf(begin, 3, 4)], [runOf(begin, 2, 5)]]
    const gap = [runOf(begin, 2, 3), runOf(begin, 3, 3)]
    for (const runs of [...wrong, gap]) {
      expect(await generations.append([appendStep(begin, 3, ['d'], runs)])).toEqual([told])
    }
    for (const runs of [[], [runOf(begin, 0, 3)], [runOf(begin, 2, 4)]]) {
      expect(await generations.finish(finishStep(begin, 3, { runs }))).toEqual(told)
    }
    const runs = [runOf(begin, 2, 3)]
    expect(await generations.finish(finishStep(begin, 3, { runs }))).toEqual({ is: 'applied' })
    expect(faultsOf(await eventsOf(fixture, begin.session.sessionId), 5)).toEqual([])
  })

  test('one answer at a time: the next begins as soon as the first has ended', async () => {
    const { generations } = await make()
    const session = newSession()
    const begin = beginStep(session)
    await generations.begin(begin)
    expect(await generations.begin(beginStep(session))).toEqual({
      is: 'busy',
      messageId: begin.messageId,
    })
    expect(await generations.erase(eraseStep(session))).toEqual({
      is: 'busy',
      messageId: begin.messageId,
    })
    await generations.finish(finishStep(begin, 0))
    expect(await generations.begin(beginStep(session))).toMatchObject({ is: 'applied', seq: 3 })
  })

  test("a session's beginning is told once", async () => {
    const fixture = await make()
    const session = newSession()
    await answer(fixture, session, ['a'])
    await answer(fixture, session, ['b'])
    const events = await eventsOf(fixture, session.sessionId)
    expect(events.filter((event) => event.eventType === 'SESSION_STARTED')).toHaveLength(1)
    expect(faultsOf(events, 6)).toEqual([])
  })

  test('a request key answers with the first ids, of that user and session only', async () => {
    const { generations } = await make()
    const session = newSession()
    const first = beginStep(session, { requestId: 'r1', digest: 'one' })
    await generations.begin(first)
    const ids = { messageId: first.messageId, userMessageId: first.userMessageId }
    const again = beginStep(session, { requestId: 'r1', digest: 'one' })
    expect(await generations.begin(again)).toEqual({ is: 'already', ...ids })
    const other = beginStep(session, { requestId: 'r1', digest: 'two' })
    expect(await generations.begin(other)).toEqual({ is: 'conflict' })
    expect(await generations.request(session, 'r1')).toEqual({ ...ids, digest: 'one' })
    expect(await generations.request({ ...session, userId: 'bob' }, 'r1')).toBeNull()
    expect(await generations.request({ ...session, tenantId: 'acme' }, 'r1')).toBeNull()
    expect(await generations.request(newSession(), 'r1')).toBeNull()
    const elsewhere = beginStep(newSession(), { requestId: 'r1', digest: 'two' })
    expect(await generations.begin(elsewhere)).toMatchObject({ is: 'applied' })
  })

  test('a request that was refused takes no key', async () => {
    const { generations } = await make()
    const session = newSession()
    const first = beginStep(session)
    await generations.begin(first)
    const refused = beginStep(session, { requestId: 'r1', digest: 'one' })
    expect(await generations.begin(refused)).toMatchObject({ is: 'busy' })
    expect(await generations.request(session, 'r1')).toBeNull()
  })

  test('a session is for the user that first named it', async () => {
    const { generations } = await make()
    const session = newSession('ada')
    const at = Date.now()
    expect(await generations.open({ session, at, ifAbsent: 'ask' })).toEqual({ is: 'absent' })
    const opened = await generations.open({ session, at, ifAbsent: 'create' })
    expect(opened).toMatchObject({ is: 'open', seq: 0 })
    for (const other of [
      { ...session, userId: 'bob' },
      { ...session, tenantId: 'acme' },
    ]) {
      expect(await generations.open({ session: other, at, ifAbsent: 'create' })).toEqual({
        is: 'forbidden',
      })
      expect(await generations.begin(beginStep(other))).toEqual({ is: 'forbidden' })
      expect(await generations.erase(eraseStep(other))).toEqual({ is: 'forbidden' })
    }
    expect(await generations.session(session.sessionId)).toEqual(session)
    expect(await generations.open({ session, at, ifAbsent: 'ask' })).toEqual(opened)
  })

  test('text of every kind comes back as it was written', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = beginStep(newSession())
    await generations.begin(begin)
    const texts = ['a\r\nb', '😀', '"\\', '\u2028', 'x'.repeat(100_000), '\uFFFD']
    const chunks = texts.flatMap((text, index) => [
      { kind: 'reasoning' as const, part: index * 2, text },
      { kind: 'text' as const, part: index * 2 + 1, text },
    ])
    const step = { ...appendStep(begin, 0, []), chunks }
    expect(await generations.append([step])).toEqual([{ is: 'applied' }])
    const { epoch = 0 } = (await generations.snapshot(begin.session.sessionId)) ?? {}
    const read = await readAll(fixture, begin.session.sessionId, { epoch, seq: 1, maxSteps: 5 })
    expect(
      read.map((each) => (each.type === 'chunk' ? [each.kind, each.part, each.text] : [])),
    ).toEqual(chunks.map(({ kind, part, text }) => [kind, part, text]))
  })

  test('a watcher hears each stored step once, in order, and nothing of others', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const ear = await listen(fixture, session.sessionId)
    const begin = beginStep(session)
    await generations.begin(begin)
    await generations.begin(begin)
    generations.setStatus(session.sessionId, begin.messageId, 'thinking')
    generations.setStatus(session.sessionId, begin.messageId, 'thinking')
    generations.setStatus(newSession().sessionId, begin.messageId, 'stalled')
    const step = { ...appendStep(begin, 0, ['a', 'b']), at: 17 }
    await generations.append([step])
    await generations.append([step, appendStep(begin, 5, ['z'])])
    const claim = claimStep(begin.messageId)
    await generations.claim(claim)
    await generations.claim(claim)
    await answer(fixture, newSession(), ['not mine'])
    const owned = { ...begin, token: claim.token }
    await generations.finish(finishStep(owned, 2, { runs: [runOf(owned, 0, 2)] }))
    expect(ear.heard.map((live) => live.type)).toEqual([
      'steps',
      'status',
      'steps',
      'claimed',
      'steps',
    ])
    expect(ear.heard[3]).toEqual({ type: 'claimed', messageId: begin.messageId, intent: 'user' })
    const { epoch = 0 } = (await generations.snapshot(session.sessionId)) ?? {}
    expect(ear.steps()).toEqual(await readAll(fixture, session.sessionId, { epoch, seq: 0 }))
    ear.close()
    await generations.begin(beginStep(session))
    expect(ear.steps()).toHaveLength(4)
  })

  test('steps that a watcher makes while it hears one are heard after it, by all', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = beginStep(newSession())
    await generations.begin(begin)
    const made: Promise<unknown>[] = []
    const eager = await generations.watch(begin.session.sessionId, (live) => {
      const step = live.type === 'steps' ? live.steps.at(-1) : undefined
      if (step?.type !== 'chunk' || step.chunkIndex >= 3) return
      made.push(generations.append([appendStep(begin, step.chunkIndex + 1, ['x'])]))
    })
    const ear = await listen(fixture, begin.session.sessionId)
    await generations.append([appendStep(begin, 0, ['x'])])
    await until(() => ear.steps().length === 4)
    await Promise.all(made)
    expect(ear.steps().map((step) => step.seq)).toEqual([2, 3, 4, 5])
    ear.close()
    eager.close()
  })

  test('events of no step are recorded in order', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const free = Array.from({ length: 5 }, (_, index) => {
      const event = eventOf(session, 'CLIENT_CONNECTED', { connectionId: `c${index}` })
      return { ...event, json: `${event.json}}` }
    })
    generations.tell(free.slice(0, 2))
    generations.tell(free.slice(2))
    await answer(fixture, session, ['a'])
    const connections = await until(async () => {
      const events = await eventsOf(fixture, session.sessionId)
      const told = events.filter((event) => event.eventType === 'CLIENT_CONNECTED')
      return told.length === free.length ? told : null
    })
    expect(connections?.map((event) => event['connectionId'])).toEqual([
      'c0',
      'c1',
      'c2',
      'c3',
      'c4',
    ])
    expect(faultsOf(await eventsOf(fixture, session.sessionId), 3)).toEqual([])
  })
}
