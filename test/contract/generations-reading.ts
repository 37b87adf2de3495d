import { expect, test } from 'bun:test'
import { historyBytesMax, historyMessagesMax } from '#gateway/generations/generations.ts'
import {
  answer,
  appendStep,
  beginStep,
  eraseStep,
  finishStep,
  type MakeFixture,
  newSession,
  readAll,
  runOf,
  textsOf,
  userMessage,
} from './generations-kit.ts'

/** What a client's cursor and a new viewer get. */
export function readingContract(make: MakeFixture): void {
  test('from every cursor exactly the steps after it are read, while the answer runs and after it', async () => {
    const fixture = await make()
    const { generations } = fixture
    const { sessionId, ...who } = newSession()
    const begin = beginStep({ sessionId, ...who })
    await generations.begin(begin)
    const { epoch = 0 } = (await generations.snapshot(sessionId)) ?? {}
    const texts = Array.from({ length: 700 }, (_, index) => `${index}`)
    for (let at = 0; at < texts.length; at += 7) {
      const runs = [runOf(begin, at, at + 7)]
      await generations.append([appendStep(begin, at, texts.slice(at, at + 7), runs)])
    }
    const expected = ['started', ...texts]
    for (const isOver of [false, true]) {
      if (isOver) {
        await generations.finish(finishStep(begin, texts.length))
        expected.push('done')
      }
      for (let seq = 0; seq <= expected.length; seq += seq < 140 || seq > 560 ? 1 : 13) {
        const read = await generations.read(sessionId, { epoch, seq }, 1_000, 1_000_000)
        if (read.is !== 'steps') throw new Error(`${seq}: ${JSON.stringify(read)}`)
        expect(read.top).toBe(expected.length)
        expect(read.steps.map((step) => step.seq)).toEqual(
          Array.from({ length: expected.length - seq }, (_, index) => seq + index + 1),
        )
        expect(textsOf(read.steps)).toEqual(expected.slice(seq))
      }
      expect(textsOf(await readAll(fixture, sessionId, { epoch, seq: 3, maxSteps: 50 }))).toEqual(
        expected.slice(3),
      )
    }
  })

  test('a read stops at its bounds but brings at least one step', async () => {
    const { generations } = await make()
    const begin = beginStep(newSession())
    const { sessionId } = begin.session
    await generations.begin(begin)
    const texts = ['x'.repeat(5_000), 'y'.repeat(5_000), 'z'.repeat(5_000)]
    await generations.append([appendStep(begin, 0, texts)])
    const { epoch = 0 } = (await generations.snapshot(sessionId)) ?? {}
    const count = async (seq: number, maxSteps: number, maxBytes: number) => {
      const read = await generations.read(sessionId, { epoch, seq }, maxSteps, maxBytes)
      return read.is === 'steps' ? read.steps.length : read.is
    }
    expect(await count(0, 2, 1_000_000)).toBe(2)
    expect(await count(1, 1_000, 10)).toBe(1)
    expect(await count(1, 1_000, 11_000)).toBe(2)
    expect(await count(4, 1_000, 10)).toBe(0)
  })

  test('a cursor that is not of this log gets the first reason that holds', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const { sessionId } = session
    const reason = async (epoch: number, seq: number) => {
      const read = await generations.read(sessionId, { epoch, seq }, 10, 10_000)
      return read.is === 'snapshot' ? read.reason : read.is
    }
    expect(await reason(1, 0)).toBe('absent')
    const opened = await generations.open({ session, at: Date.now(), ifAbsent: 'create' })
    if (opened.is !== 'open') throw new Error(opened.is)
    const { epoch } = opened
    expect(await reason(epoch, 0)).toBe('steps')
    expect(await reason(epoch, 1)).toBe('ahead')
    expect(await reason(epoch - 1, 0)).toBe('epoch')
    expect(await reason(epoch + 1, 9)).toBe('epoch')
    await answer(fixture, session, ['a'])
    const erased = await generations.erase(eraseStep(session))
    expect(erased).toEqual({ is: 'applied', epoch, seq: 4 })
    expect(await reason(epoch, 5)).toBe('ahead')
    for (const seq of [0, 1, 2]) expect(await reason(epoch, seq)).toBe('erased')
    expect(await reason(epoch + 1, 1)).toBe('epoch')
    for (const seq of [3, 4]) expect(await reason(epoch, seq)).toBe('steps')
    expect(textsOf(await readAll(fixture, sessionId, { epoch, seq: 3 }))).toEqual(['erased'])
    await answer(fixture, session, ['b'])
    expect(textsOf(await readAll(fixture, sessionId, { epoch, seq: 3 }))).toEqual([
      'erased',
      'started',
      'b',
      'done',
    ])
    expect(await reason(epoch, 2)).toBe('erased')
  })

  test('an erasure leaves no text behind, and its repetition answers with the first place', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const { begin } = await answer(fixture, session, ['secret'])
    expect((await generations.snapshot(session.sessionId))?.history).toHaveLength(2)
    const erase = eraseStep(session)
    const { epoch } = (await generations.snapshot(session.sessionId)) ?? { epoch: 0 }
    expect(await generations.erase(erase)).toEqual({ is: 'applied', epoch, seq: 4 })
    expect(await generations.snapshot(session.sessionId)).toMatchObject({
      seq: 4,
      history: [],
      hasOlder: false,
      active: null,
    })
    expect(await generations.find(begin.messageId)).toMatchObject({ erased: true })
    await answer(fixture, session, ['after'])
    expect(await generations.erase(erase)).toEqual({ is: 'already', epoch, seq: 4 })
    expect((await generations.snapshot(session.sessionId))?.history).toHaveLength(2)
    expect(await generations.erase(eraseStep(session))).toMatchObject({ is: 'applied', seq: 8 })
    expect(await generations.erase(eraseStep(newSession()))).toEqual({ is: 'absent' })
  })

  test('a snapshot has the question of the active answer and where its chunks begin', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const { begin: first, finish } = await answer(fixture, session, ['a'])
    const begin = beginStep(session, { regenerates: first.messageId, requestId: 'r9' })
    await generations.begin(begin)
    generations.setStatus(session.sessionId, begin.messageId, 'thinking')
    await generations.append([appendStep(begin, 0, ['b', 'c'])])
    const snapshot = await generations.snapshot(session.sessionId)
    expect(snapshot).toMatchObject({ ...session, seq: 6, hasOlder: false })
    expect(snapshot?.active).toEqual({
      messageId: begin.messageId,
      userMessageId: begin.userMessageId,
      model: 'demo',
      status: 'thinking',
      startedSeq: 4,
    })
    expect(snapshot?.history).toEqual(
      [first.question, finish.message, begin.question].flatMap((each) => each ?? []),
    )
    const after = { epoch: snapshot?.epoch ?? 0, seq: 4 }
    expect(await generations.read(session.sessionId, after, 10, 1_000)).toMatchObject({
      is: 'steps',
      active: { messageId: begin.messageId, status: 'thinking' },
      steps: [{ text: 'b', chunkIndex: 0 }, { text: 'c' }],
    })
    expect(await generations.find(begin.messageId)).toMatchObject({
      status: 'thinking',
      regenerates: first.messageId,
      requestId: 'r9',
      next: 2,
      startedSeq: 4,
      erased: false,
    })
    expect(await generations.find(first.messageId)).toMatchObject({ message: finish.message })
    expect(await generations.snapshot('nobody')).toBeNull()
  })

  test(`history keeps the newest ${historyMessagesMax} messages`, async () => {
    const fixture = await make()
    const session = newSession()
    const answers: string[] = []
    for (let index = 0; index < 27; index += 1) {
      const { begin } = await answer(fixture, session, [`${index}`])
      answers.push(begin.messageId)
    }
    const snapshot = await fixture.generations.snapshot(session.sessionId)
    expect(snapshot?.history).toHaveLength(historyMessagesMax)
    expect(snapshot?.hasOlder).toBe(true)
    expect(snapshot?.history.at(-1)?.messageId).toBe(answers.at(-1) ?? '')
    expect(snapshot?.history[1]?.messageId).toBe(answers[2] ?? '')
    const gone = await fixture.generations.find(answers[0] ?? '')
    expect(gone).toMatchObject({ outcome: 'completed' })
    expect(gone).not.toHaveProperty('message')
  })

  test('history ends before the first message that does not fit, and has the newest whatever its size', async () => {
    const fixture = await make()
    const { generations } = fixture
    const session = newSession()
    const big = 'é'.repeat(historyBytesMax / 4)
    await answer(fixture, session, ['a'])
    await answer(fixture, session, ['b'], { content: big })
    let snapshot = await generations.snapshot(session.sessionId)
    expect(snapshot?.history).toHaveLength(4)
    expect(snapshot?.hasOlder).toBe(false)
    await answer(fixture, session, ['c'], { content: big })
    snapshot = await generations.snapshot(session.sessionId)
    expect(snapshot?.history.map((each) => each.role)).toEqual(['user', 'assistant'])
    expect(snapshot?.hasOlder).toBe(true)
    await answer(fixture, session, ['d'], { content: big.repeat(3) })
    snapshot = await generations.snapshot(session.sessionId)
    expect(snapshot?.history.map((each) => each.content.length)).toEqual([big.length * 3])
    await generations.begin(beginStep(session, { question: userMessage(session, 'next') }))
    snapshot = await generations.snapshot(session.sessionId)
    expect(snapshot?.history.map((each) => each.content)).toEqual(['next'])
  })
}
