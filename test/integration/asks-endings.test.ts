import { describe, expect, test } from 'bun:test'
import type { ContractError } from '#gateway/chat/errors.ts'
import { type AsksNode, ann, asksNode, bob } from '../support/asks-node.ts'
import { until } from '../support/until.ts'

const question = { sessionId: 's1', content: 'Hi' }
const session = { sessionId: 's1', tenantId: 'acme', userId: 'ann' }

function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'fine',
    (error: ContractError) => error.code,
  )
}

async function begun(node: AsksNode, ...deltas: string[]) {
  const accepted = await node.asks.ask(ann, question)
  const call = await node.model.call(accepted.messageId)
  call.say(...deltas)
  return { ...accepted, call }
}

const ends = async (node: AsksNode) =>
  (await node.events()).filter(({ eventType }) => /^STREAM_(COMP|CANC|ERR)/.test(eventType))

describe('a cancel', () => {
  test('ends the answer with all that came, closes the call and tells the outcome each time', async () => {
    await using node = asksNode()
    const { messageId, call } = await begun(node, 'a', 'b')
    call.say('c')
    expect(await node.asks.cancel(ann, messageId)).toEqual({ messageId, outcome: 'cancelled' })
    expect(call.signal.aborted).toBe(true)
    call.say('late')
    expect(await node.asks.cancel(ann, messageId)).toEqual({ messageId, outcome: 'cancelled' })
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'cancelled', chunks: 3, length: 3 })
    expect((await node.history('s1')).at(-1)).toMatchObject({ content: 'abc' })
    expect(await ends(node)).toHaveLength(1)
  })

  test('of a finished answer tells what stands', async () => {
    await using node = asksNode()
    const { messageId, call } = await begun(node, 'a')
    call.end()
    await node.done('s1', messageId)
    expect((await node.asks.cancel(ann, messageId)).outcome).toBe('completed')
  })

  test('racing the end and other cancels leaves one end, and all hear of the same', async () => {
    await using node = asksNode()
    for (let round = 0; round < 20; round++) {
      const { messageId, call } = await begun(node, 'a')
      const cancels = [node.asks.cancel(ann, messageId)]
      if (round % 2 === 0) call.end()
      if (round % 3 === 0) await Promise.resolve()
      cancels.push(node.asks.cancel(ann, messageId), node.asks.cancel(ann, messageId))
      const outcomes = (await Promise.all(cancels)).map(({ outcome }) => outcome)
      const done = await node.done('s1', messageId)
      expect(outcomes).toEqual(Array.from(outcomes, () => done['outcome']) as typeof outcomes)
      await until(() => node.asks.activeCount() === 0)
    }
    expect(await ends(node)).toHaveLength(20)
  })

  test('is refused for another’s answer, and not found for a question or for nothing', async () => {
    await using node = asksNode()
    const { messageId, userMessageId, call } = await begun(node, 'a')
    expect(await codeOf(node.asks.cancel(bob, messageId))).toBe('forbidden')
    expect(await codeOf(node.asks.cancel(ann, userMessageId))).toBe('not_found')
    expect(await codeOf(node.asks.cancel(ann, 'nothing'))).toBe('not_found')
    expect(call.signal.aborted).toBe(false)
    call.end()
    await node.done('s1', messageId)
    expect(await codeOf(node.asks.cancel(bob, messageId))).toBe('forbidden')
  })

  test('of an answer that only the archive knows tells its outcome', async () => {
    await using node = asksNode()
    const message = {
      messageId: 'm1',
      conversationId: 's9',
      role: 'assistant' as const,
      content: 'a',
      outcome: 'failed' as const,
      createdAt: '2026-01-01T00:00:00.000Z',
    }
    const ref = { ...session, sessionId: 's9', erased: false }
    node.archive.messages.set('m1', { ...ref, message })
    node.archive.messages.set('m2', { ...ref, message: { ...message, role: 'user' } })
    expect((await node.asks.cancel(ann, 'm1')).outcome).toBe('failed')
    expect(await codeOf(node.asks.cancel(bob, 'm1'))).toBe('forbidden')
    expect(await codeOf(node.asks.cancel(ann, 'm2'))).toBe('not_found')
  })
})

describe('an erasure', () => {
  test('ends the active answer first, then everything is gone and the event says so', async () => {
    await using node = asksNode()
    const { messageId, call } = await begun(node, 'a', 'b')
    const erased = await node.asks.erase(ann, 's1')
    expect(call.signal.aborted).toBe(true)
    expect(erased).toMatchObject({ sessionId: 's1', cursor: { seq: 5 } })
    expect(await node.history('s1')).toEqual([])
    expect(await node.generations.find(messageId)).toMatchObject({ erased: true })
    const events = await node.events()
    expect(events.find(({ eventType }) => eventType === 'HISTORY_ERASED')).toMatchObject({
      sessionId: 's1',
      seq: 5,
      epoch: erased.cursor.epoch,
    })
    expect(await ends(node)).toMatchObject([{ eventType: 'STREAM_CANCELLED', reason: 'erased' }])
    expect((await node.asks.ask(ann, question)).duplicate).toBe(false)
  })

  test('is for the session’s user, and for a session that somebody has', async () => {
    await using node = asksNode()
    await begun(node)
    expect(await codeOf(node.asks.erase(bob, 's1'))).toBe('forbidden')
    expect(await codeOf(node.asks.erase(ann, 's2'))).toBe('not_found')
    expect(await node.generations.session('s2')).toBeNull()
  })

  test('reaches a session that only the archive knows', async () => {
    await using node = asksNode()
    node.archive.add({
      ...session,
      last: { epoch: 1, seq: 4 },
      messages: [],
      hasOlder: true,
    })
    expect((await node.asks.erase(ann, 's1')).cursor.seq).toBe(1)
    const events = await node.events()
    expect(events.map(({ eventType }) => eventType)).toEqual(['HISTORY_ERASED'])
    expect(events[0]).toMatchObject({ previous: { epoch: 1, seq: 4 } })
  })
})

describe('an answer that nobody watches any more', () => {
  test('goes on by default', async () => {
    await using node = asksNode()
    const { messageId, call } = await begun(node, 'a')
    node.asks.viewersChanged(session, 1)
    node.asks.viewersChanged(session, 0)
    await Bun.sleep(30)
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed' })
  })

  test('is cancelled at once with ON_ABANDON=cancel, when it was watched', async () => {
    await using node = asksNode({ chat: { onAbandon: 'cancel' } })
    node.asks.viewersChanged(session, 2)
    const { messageId, call } = await begun(node, 'a')
    node.asks.viewersChanged(session, 1)
    await Bun.sleep(20)
    expect(call.signal.aborted).toBe(false)
    node.asks.viewersChanged(session, 0)
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'cancelled' })
    expect(await ends(node)).toMatchObject([{ reason: 'abandoned' }])
  })

  test('is not abandoned when nobody ever watched it', async () => {
    await using node = asksNode({ chat: { onAbandon: 'cancel' } })
    node.asks.viewersChanged(session, 1)
    node.asks.viewersChanged(session, 0)
    const { messageId, call } = await begun(node, 'a')
    node.asks.viewersChanged(session, 0)
    await Bun.sleep(20)
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed' })
  })

  test('has its grace, which a viewer ends by coming back', async () => {
    await using node = asksNode({ chat: { onAbandon: 'grace', abandonGraceMs: 60 } })
    const { messageId, call } = await begun(node, 'a')
    node.asks.viewersChanged(session, 1)
    node.asks.viewersChanged(session, 0)
    await Bun.sleep(20)
    node.asks.viewersChanged(session, 1)
    await Bun.sleep(80)
    expect(call.signal.aborted).toBe(false)
    node.asks.viewersChanged(session, 0)
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'cancelled' })
  })
})

describe('a drain', () => {
  test('waits for answers that end in time', async () => {
    await using node = asksNode()
    const { messageId, call } = await begun(node, 'a')
    const drained = node.asks.drain(5_000)
    expect(node.asks.activeCount()).toBe(1)
    call.say('b')
    call.end()
    await drained
    expect(node.asks.activeCount()).toBe(0)
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed', length: 2 })
  })

  test('interrupts what is left, as a shutdown, with the text so far', async () => {
    await using node = asksNode()
    const { messageId, call } = await begun(node, 'a', 'b')
    await node.asks.drain(20)
    expect(call.signal.aborted).toBe(true)
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'interrupted', chunks: 2 })
    expect(done['error']).toMatchObject({ code: 'unavailable', errorType: 'shutdown' })
    expect(await ends(node)).toMatchObject([
      { eventType: 'STREAM_ERROR', errorType: 'shutdown', outcome: 'interrupted' },
    ])
  })
})
