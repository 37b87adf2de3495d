import { describe, expect, test } from 'bun:test'
import type { Generations } from '#gateway/generations/generations.ts'
import { type AsksNode, ann, asksNode } from '../support/asks-node.ts'
import { isReal } from '../support/hot-parts.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

const question = { sessionId: 's1', content: 'Hi' }

async function begun(node: AsksNode, ...deltas: string[]) {
  const accepted = await node.asks.ask(ann, question)
  const call = await node.model.call(accepted.messageId)
  call.say(...deltas)
  return { ...accepted, call }
}

async function shown(node: AsksNode): Promise<string> {
  const steps = await node.steps('s1')
  return steps.map((step) => (step.type === 'chunk' ? step.text : '')).join('')
}

/** Each chunk told once, each `seq` told, one end. */
async function expectWhole(node: AsksNode): Promise<void> {
  const events = await node.events()
  const runs = events.filter((event) => event.eventType === 'CHUNK_RECEIVED')
  const told = runs.map((run) => run.fromChunkIndex).sort((a, b) => a - b)
  expect(new Set(told).size).toBe(told.length)
  const texts = runs
    .sort((a, b) => a.fromChunkIndex - b.fromChunkIndex)
    .map((run) => run.text ?? '')
  expect(texts.join('')).toBe(await shown(node))
  const ends = events.filter(({ eventType }) => /^STREAM_(COMP|CANC|ERR)/.test(eventType))
  expect(ends).toHaveLength(1)
}

/** Hot state with some of its calls done otherwise. */
function withCalls(change: (real: Generations) => Partial<Generations>) {
  return (real: Generations): Generations => ({ ...real, ...change(real) })
}

function failing(isAway: () => boolean) {
  return <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
    (...args: Args): Promise<T> =>
      isAway() ? Promise.reject(new Error('away')) : call(...args)
}

describe('an answer whose owner is gone', () => {
  test('is interrupted with all that was shown, at once on the next start', async () => {
    const dataDir = tempDir()
    let lost: { messageId: string; userMessageId: string }
    {
      await using node = asksNode({ dataDir })
      const { call, ...ids } = await begun(node, 'So', ' far')
      lost = ids
      await until(async () => (await shown(node)) === 'So far')
      call.think('hm')
      await until(async () => (await node.steps('s1')).length === 4)
    }
    await using node = asksNode({ dataDir })
    // Where there may be other nodes it takes the owner's lease.
    const done = await node.done('s1', lost.messageId, isReal ? 15_000 : 4_000)
    expect(done).toMatchObject({ outcome: 'interrupted', chunks: 3, length: 6 })
    expect(done['error']).toMatchObject({ code: 'unavailable', errorType: 'owner_lost' })
    expect((await node.history('s1')).at(-1)).toMatchObject({
      messageId: lost.messageId,
      parentMessageId: lost.userMessageId,
      content: 'So far',
      parts: [
        { part: 0, kind: 'text', text: 'So far' },
        { part: 1, kind: 'reasoning', text: 'hm' },
      ],
      outcome: 'interrupted',
    })
    const events = await node.events()
    const runs = events.filter((event) => event.eventType === 'CHUNK_RECEIVED')
    expect(runs).toMatchObject([
      { fromSeq: 2, seq: 3, text: 'So far' },
      { fromSeq: 4, seq: 4, text: 'hm', kind: 'reasoning' },
    ])
    expect(events.find(({ eventType }) => eventType === 'STREAM_ERROR')).toMatchObject({
      messageId: lost.messageId,
      errorType: 'owner_lost',
      outcome: 'interrupted',
      totalChunks: 3,
      contentLength: 6,
      wordCount: 2,
    })
    expect((await node.asks.ask(ann, question)).duplicate).toBe(false)
  })

  test('is ended by another node once the lease is over, and not before', async () => {
    const timing = { leaseMs: 300, renewMs: 60_000, sweepMs: 20 }
    await using other = asksNode({ timing })
    const dying = asksNode({ beside: other, timing })
    const beganMs = performance.now()
    const { messageId } = await begun(dying, 'a')
    await until(async () => (await shown(other)) === 'a')
    await dying[Symbol.asyncDispose]()
    expect(await other.done('s1', messageId)).toMatchObject({ outcome: 'interrupted', length: 1 })
    expect(performance.now() - beganMs).toBeGreaterThan(290)
    await expectWhole(other)
  })
})

describe('an owner', () => {
  test('keeps its lease for as long as the model thinks', async () => {
    const timing = { leaseMs: 800, renewMs: 50, sweepMs: 20 }
    await using owner = asksNode({ timing })
    await using other = asksNode({ beside: owner, timing })
    const { messageId, call } = await begun(owner)
    await Bun.sleep(1_200)
    call.say('at last')
    call.end()
    expect(await other.done('s1', messageId)).toMatchObject({ outcome: 'completed', length: 7 })
  })

  test('stops the model at once when another node’s cancel has ended the answer', async () => {
    await using owner = asksNode()
    await using other = asksNode({ beside: owner })
    const { messageId, call } = await begun(owner, 'a', 'b')
    await until(async () => (await shown(owner)) === 'ab')
    expect((await other.asks.cancel(ann, messageId)).outcome).toBe('cancelled')
    await until(() => call.signal.aborted && owner.asks.activeCount() === 0)
    expect((await owner.asks.cancel(ann, messageId)).outcome).toBe('cancelled')
    expect(await owner.done('s1', messageId)).toMatchObject({ chunks: 2 })
    await expectWhole(owner)
  })

  test('hears of another’s claim by its lease when nothing else tells it', async () => {
    await using owner = asksNode({
      timing: { renewMs: 30 },
      between: withCalls(() => ({ watch: async () => ({ close: () => undefined }) })),
    })
    await using other = asksNode({ beside: owner })
    const { messageId, call } = await begun(owner)
    expect((await other.asks.cancel(ann, messageId)).outcome).toBe('cancelled')
    await until(() => call.signal.aborted)
    expect(await owner.done('s1', messageId)).toMatchObject({ outcome: 'cancelled', chunks: 0 })
  })

  test('and any number of other nodes end an answer once, all with one outcome', async () => {
    await using owner = asksNode()
    await using other = asksNode({ beside: owner })
    await using third = asksNode({ beside: owner })
    for (let round = 0; round < 10; round++) {
      const { messageId, call } = await begun(owner, 'a')
      if (round % 2 === 0)
        await until(async () => (await owner.steps('s1')).at(-1)?.type === 'chunk')
      const cancels = [other, third, owner].map((node) => node.asks.cancel(ann, messageId))
      call.end()
      const outcomes = new Set((await Promise.all(cancels)).map(({ outcome }) => outcome))
      const done = await owner.done('s1', messageId)
      expect([...outcomes]).toEqual([done['outcome'] as 'cancelled'])
    }
  })

  test('sends chunks again, as they were, while it can’t know whether they were stored', async () => {
    let failures = 0
    const heard: string[] = []
    await using node = asksNode({
      between: withCalls((real) => ({
        async append(steps) {
          failures++
          if (failures === 1) throw new Error('refused')
          if (failures > 3) return real.append(steps)
          await real.append(steps)
          throw new Error('cut after it was stored')
        },
      })),
    })
    await node.sessions.open(ann, 's1')
    await node.generations.watch('s1', (live) => {
      if (live.type === 'status') heard.push(live.status)
    })
    const { messageId, call } = await begun(node, 'a', 'b')
    await until(() => failures > 1)
    call.say('c', 'd')
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed', chunks: 4 })
    expect(await shown(node)).toBe('abcd')
    expect(heard).toEqual(['streaming', 'stalled', 'streaming'])
    await expectWhole(node)
  })

  test('says its end again until it knows that it stands', async () => {
    let failures = 0
    await using node = asksNode({
      between: withCalls((real) => ({
        async finish(step) {
          failures++
          if (failures === 1) throw new Error('refused')
          const result = await real.finish(step)
          if (failures === 2) throw new Error('cut after it was stored')
          return result
        },
      })),
    })
    const { messageId, call } = await begun(node, 'a')
    call.end()
    await until(() => node.asks.activeCount() === 0)
    expect(failures).toBe(3)
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed' })
    await expectWhole(node)
  })

  test('writes again what hot state has forgotten', async () => {
    let calls = 0
    await using node = asksNode({
      chat: { chunkEventMs: 0 },
      between: withCalls((real) => ({
        async append(steps) {
          calls++
          return calls === 1 ? steps.map(() => ({ is: 'applied' }) as const) : real.append(steps)
        },
      })),
    })
    const { messageId, call } = await begun(node, 'a', 'b')
    await until(() => calls === 1)
    call.say('c')
    await until(async () => (await shown(node)) === 'abc')
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed', chunks: 3 })
    await expectWhole(node)
  })

  test('writes again before the end what hot state has forgotten just before it', async () => {
    let calls = 0
    await using node = asksNode({
      between: withCalls((real) => ({
        async append(steps) {
          calls++
          return calls === 1 ? steps.map(() => ({ is: 'applied' }) as const) : real.append(steps)
        },
      })),
    })
    const { messageId, call } = await begun(node, 'a', 'b')
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed', chunks: 2 })
    expect(await shown(node)).toBe('ab')
    await expectWhole(node)
  })

  test('begins again with the same ids when hot state knows nothing of the answer', async () => {
    let begins = 0
    await using node = asksNode({
      between: withCalls((real) => ({
        async begin(step) {
          begins++
          return begins === 1 ? { is: 'applied', epoch: 1, seq: 1 } : real.begin(step)
        },
      })),
    })
    const { messageId, userMessageId, call } = await begun(node, 'a')
    await until(() => begins === 2)
    call.say('b')
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed', chunks: 2 })
    expect(await shown(node)).toBe('ab')
    const history = await node.history('s1')
    expect(history.map((message) => message.messageId)).toEqual([userMessageId, messageId])
    await expectWhole(node)
  })

  test('gives up when hot state is away too long, and a sweep ends the answer later', async () => {
    let isAway = false
    const away = failing(() => isAway)
    await using node = asksNode({
      timing: { outageMs: 250, leaseMs: 300, renewMs: 100, sweepMs: 50 },
      between: withCalls((real) => ({
        append: away(real.append),
        finish: away(real.finish),
        renew: away(real.renew),
        lapsed: away(real.lapsed),
      })),
    })
    const { messageId, call } = await begun(node, 'a')
    await until(async () => (await shown(node)) === 'a')
    isAway = true
    call.say('b')
    await until(() => call.signal.aborted)
    expect(node.asks.activeCount()).toBe(0)
    isAway = false
    const done = await node.done('s1', messageId)
    expect(done).toMatchObject({ outcome: 'interrupted', chunks: 1 })
  })
})

describe('a question or cancel while hot state is away', () => {
  test('is unavailable, in time', async () => {
    let isAway = false
    const away = failing(() => isAway)
    await using node = asksNode({
      between: withCalls((real) => ({
        open: away(real.open),
        find: away(real.find),
      })),
    })
    const { messageId, call } = await begun(node, 'a')
    call.end()
    await node.done('s1', messageId)
    isAway = true
    const beganMs = performance.now()
    const refusals = await Promise.allSettled([
      node.asks.ask(ann, question),
      node.asks.cancel(ann, messageId),
    ])
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
    }
    expect(performance.now() - beganMs).toBeLessThan(2_500)
  })
})
