import { describe, expect, test } from 'bun:test'
import { ContractError } from '#gateway/chat/errors.ts'
import { SessionViewer } from '#gateway/chat/viewers/session-viewer.ts'
import { createViewers, type Viewers } from '#gateway/chat/viewers/viewers.ts'
import { quietLog } from '#runtime/log.ts'
import { type AsksNode, type AsksNodeOptions, ann, asksNode } from '../support/asks-node.ts'
import { PlainOutlet } from '../support/outlet.ts'
import type { ModelCall } from '../support/scripted-model.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

const kib = 1_024

interface Node extends AsksNode {
  viewers: Viewers
  counts: number[]
}

/** A node with a real store, and viewers whose wires the test plays. */
function node(options: AsksNodeOptions = {}): Node {
  const inner = asksNode(options)
  const counts: number[] = []
  const viewers = createViewers({
    generations: options.between?.(inner.generations) ?? inner.generations,
    sessions: inner.sessions,
    asks: { viewersChanged: (_session, count) => counts.push(count) },
    nodeId: 'node-1',
    heartbeatMs: 25_000,
    log: quietLog,
    random: () => 0.5,
  })
  atEnd(() => viewers.closeAll())
  return Object.assign(inner, { viewers, counts })
}

async function join(node: Node, cursor: { epoch: number; seq: number } | null = null) {
  const { session } = await node.sessions.open(ann, 's')
  const outlet = new PlainOutlet()
  const cursorText = cursor && `${cursor.epoch}-${cursor.seq}`
  const viewer = new SessionViewer(node.viewers.room('s'), outlet, { who: ann, cursorText, cursor })
  outlet.viewer = viewer
  node.viewers.join(viewer, session)
  await until(() => outlet.bodies('live').length > 0 || outlet.refusedWith)
  return { outlet, viewer }
}

async function asked(node: Node): Promise<ModelCall> {
  const { messageId } = await node.asks.ask(ann, { sessionId: 's', content: 'why?' })
  return node.model.call(messageId)
}

/** Says so many chunks and waits until they are stored. */
async function say(node: Node, call: ModelCall, count: number, text = 'word ') {
  const { messageId } = call.request
  const before = (await node.generations.find(messageId))?.next ?? 0
  for (let nth = 0; nth < count; nth += 1) call.say(text)
  const isStored = async () => (await node.generations.find(messageId))?.next === before + count
  await until(isStored)
}

/** Each seq once and in order. */
function expectDense(outlet: PlainOutlet, from = 1): number {
  let next = from
  for (const body of outlet.bodies()) {
    if (typeof body['seq'] !== 'number') continue
    expect((body['fromSeq'] as number | undefined) ?? body['seq']).toBe(next)
    next = body['seq'] + 1
  }
  return next - 1
}

describe('a connection that is full', () => {
  test('past 256 KiB gets no further step, and below 64 KiB all of them, merged', async () => {
    await using it = node()
    const { outlet } = await join(it)
    const call = await asked(it)
    await say(it, call, 1)
    await until(() => outlet.bodies('chunk').length === 1)
    outlet.waitingBytes = 256 * kib + 1
    for (let round = 0; round < 10; round += 1) await say(it, call, 3)
    expect(outlet.bodies('chunk').length).toBe(1)
    outlet.drainTo(64 * kib)
    await say(it, call, 1)
    expect(outlet.bodies('chunk').length).toBe(1)
    outlet.drainTo(64 * kib - 1)
    await until(() => outlet.bodies('chunk').length > 1)
    expect(outlet.bodies('chunk').at(-1)).toMatchObject({ fromChunkIndex: 1, chunkIndex: 31 })
    call.end()
    await until(() => outlet.bodies('done').length === 1)
    expectDense(outlet)
  })

  test('at 256 KiB still gets them', async () => {
    await using it = node()
    const { outlet } = await join(it)
    outlet.waitingBytes = 256 * kib
    const call = await asked(it)
    await say(it, call, 1)
    await until(() => outlet.bodies('chunk').length === 1)
    call.end()
  })

  test('delays nobody else', async () => {
    await using it = node()
    const { outlet: slow } = await join(it)
    const { outlet: quick } = await join(it)
    slow.waitingBytes = 500 * kib
    const call = await asked(it)
    await say(it, call, 5)
    call.end()
    await until(() => quick.bodies('done').length === 1)
    expect(slow.bodies('started')).toEqual([])
    slow.drainTo(0)
    await until(() => slow.bodies('done').length === 1)
    expectDense(slow)
  })

  test('in the middle of a snapshot waits there', async () => {
    await using it = node({ chat: { maxAnswerBytes: 1_048_576 } })
    await it.sessions.open(ann, 's')
    const call = await asked(it)
    await say(it, call, 40, 'x'.repeat(10_000))
    const { session } = await it.sessions.open(ann, 's')
    const outlet = new PlainOutlet()
    outlet.waitingBytes = 300 * kib
    const given = { who: ann, cursorText: null, cursor: null }
    const viewer = new SessionViewer(it.viewers.room('s'), outlet, given)
    outlet.viewer = viewer
    it.viewers.join(viewer, session)
    await Bun.sleep(20)
    expect(outlet.bodies('chunk')).toEqual([])
    outlet.drainTo(0)
    await until(() => outlet.bodies('live').length === 1)
    expect(outlet.bodies('chunk').at(-1)?.['chunkIndex']).toBe(39)
    call.end()
  })

  test('that closes while it waits is forgotten', async () => {
    await using it = node()
    const { outlet, viewer } = await join(it)
    outlet.waitingBytes = 300 * kib
    const call = await asked(it)
    await say(it, call, 1)
    it.viewers.leave(viewer)
    expect(it.viewers.roomCount).toBe(0)
    expect(it.viewers.counts).toEqual({ websocket: 0, sse: 0 })
    outlet.drainTo(0)
    await say(it, call, 1)
    call.end()
    expect(outlet.bodies('chunk')).toEqual([])
  })
})

test('a thousand viewers of one answer all get it whole, though some leave and join meanwhile', async () => {
  await using it = node()
  const stay: PlainOutlet[] = []
  const leavers: SessionViewer[] = []
  const joined = await Promise.all(Array.from({ length: 1_000 }, () => join(it)))
  for (const [nth, { outlet, viewer }] of joined.entries()) {
    if (nth % 3 === 0) leavers.push(viewer)
    else stay.push(outlet)
  }
  const call = await asked(it)
  for (let round = 0; round < 20; round += 1) {
    call.say(`word ${round} `)
    for (const viewer of leavers.splice(0, 10)) it.viewers.leave(viewer)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const late = await join(it)
  call.end()
  await until(() => stay.every((outlet) => outlet.bodies('done').length === 1))
  await until(() => late.outlet.bodies('done').length === 1)
  for (const outlet of stay) expect(expectDense(outlet)).toBe(22)
}, 20_000)

test('a session is watched once, however many look at it, and no longer than somebody does', async () => {
  let watched = 0
  let closed = 0
  await using it = node({
    between: (generations) => ({
      ...generations,
      async watch(sessionId, listener) {
        watched += 1
        const watch = await generations.watch(sessionId, listener)
        return {
          close() {
            closed += 1
            watch.close()
          },
        }
      },
    }),
  })
  const first = await join(it)
  const second = await join(it)
  expect([watched, closed, it.viewers.roomCount]).toEqual([1, 0, 1])
  it.viewers.leave(first.viewer)
  it.viewers.leave(first.viewer)
  expect([closed, it.viewers.roomCount]).toEqual([0, 1])
  it.viewers.leave(second.viewer)
  expect([watched, closed, it.viewers.roomCount]).toEqual([1, 1, 0])
  expect(it.counts).toEqual([1, 2, 1, 0])
  await join(it)
  expect(watched).toBe(2)
})

test('hot state that fails for a while delays a join, and does not break it', async () => {
  let failures = 3
  await using it = node({
    between: (generations) => ({
      ...generations,
      async snapshot(sessionId) {
        if (failures-- > 0) throw new Error('out of reach')
        return generations.snapshot(sessionId)
      },
    }),
  })
  const { outlet } = await join(it)
  expect(outlet.bodies().map(({ type }) => type)).toEqual(['welcome', 'history', 'live'])
})

test('hot state that stays away refuses a join as unavailable', async () => {
  await using it = node({
    between: (generations) => ({
      ...generations,
      watch: () => Promise.reject(new Error('out of reach')),
    }),
  })
  const { session } = await it.sessions.open(ann, 's')
  const outlet = new PlainOutlet()
  const given = { who: ann, cursorText: null, cursor: null }
  const viewer = new SessionViewer(it.viewers.room('s'), outlet, given)
  it.viewers.join(viewer, session)
  await until(() => outlet.refusedWith, { timeoutMs: 10_000 })
  expect(outlet.refusedWith).toBeInstanceOf(ContractError)
  expect(outlet.refusedWith?.code).toBe('unavailable')
  expect(outlet.frames).toEqual([])
}, 15_000)

test('an open connection outlives a hot state that is away, and reads on', async () => {
  let isAway = false
  await using it = node({
    between: (generations) => ({
      ...generations,
      read(...args) {
        return isAway ? Promise.reject(new Error('out of reach')) : generations.read(...args)
      },
    }),
  })
  const { outlet, viewer } = await join(it)
  const call = await asked(it)
  await until(() => outlet.bodies('started').length === 1)
  isAway = true
  viewer.reread()
  await say(it, call, 2)
  await Bun.sleep(150)
  expect(outlet.bodies('chunk')).toEqual([])
  isAway = false
  call.end()
  await until(() => outlet.bodies('done').length === 1)
  expect(expectDense(outlet)).toBe(4)
  expect(outlet.endedWith).toBeNull()
})

test('the wheel looks after every connection about once a second, with one timer for all', async () => {
  await using it = node()
  const outlets: PlainOutlet[] = []
  for (let nth = 0; nth < 25; nth += 1) outlets.push((await join(it)).outlet)
  await until(() => outlets.every((outlet) => outlet.visits > 0))
  const most = Math.max(...outlets.map((outlet) => outlet.visits))
  expect(most - Math.min(...outlets.map((outlet) => outlet.visits))).toBeLessThanOrEqual(1)
})
