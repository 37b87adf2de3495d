import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { ContractError } from '#gateway/chat/errors.ts'
import type { Generations } from '#gateway/generations/generations.ts'
import { type AsksNode, ann, asksNode, frameOf } from '../support/asks-node.ts'
import type { ModelCall } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'

type Dice = () => number

function diceOf(seed: number): Dice {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const timing = { leaseMs: 600, renewMs: 100, sweepMs: 40, outageMs: 400 }
const words = ['a', 'bc ', '👋', '\ud83d', '\udc4b', '', '\0', 'hello world ', 'é\r\n']

/** Calls that are cut before or after they are done, or come late; now and then a write is forgotten. */
function unreliable(dice: Dice) {
  const cut = <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) => {
    return async (...args: Args): Promise<T> => {
      const fate = dice()
      if (fate < 0.08) throw new Error('cut before')
      if (fate > 0.7) await Bun.sleep(fate * 10)
      const result = await call(...args)
      if (fate < 0.16) throw new Error('cut after')
      return result
    }
  }
  return (real: Generations): Generations => {
    const append = cut(real.append)
    return {
      ...real,
      begin: cut(real.begin),
      claim: cut(real.claim),
      finish: cut(real.finish),
      append: async (steps) =>
        dice() < 0.05 ? steps.map(() => ({ is: 'applied' }) as const) : append(steps),
    }
  }
}

interface Asked {
  sessionId: string
  messageId: string
  /** What the model has said. */
  said: string
}

async function play(call: ModelCall, asked: Asked, dice: Dice): Promise<void> {
  const count = Math.floor(dice() * 40)
  for (let at = 0; at < count && !call.signal.aborted; at++) {
    const word = words[Math.floor(dice() * words.length)] ?? ''
    if (dice() < 0.15) call.think(word)
    else {
      asked.said += word
      call.say(word)
    }
    if (dice() < 0.5) await Bun.sleep(dice() * 6)
  }
  if (dice() < 0.2) call.fail(new Error('the model fails'))
  else call.end()
}

async function oneSession(nodes: AsksNode[], sessionId: string, dice: Dice): Promise<Asked[]> {
  const all: Asked[] = []
  const any = () => nodes[Math.floor(dice() * nodes.length)] as AsksNode
  for (let round = 0; round < 4; round++) {
    const node = any()
    const ask = { sessionId, content: `question ${round}`, requestId: `r${round}` }
    const accepted = await until(() =>
      node.asks.ask(ann, ask).catch((error: unknown) => {
        if (error instanceof ContractError && error.temporary) return null
        throw error
      }),
    )
    if (accepted === null) throw new Error('never')
    const { messageId } = accepted
    const asked = { sessionId, messageId, said: '' }
    all.push(asked)
    const call = node.model.calls.find(({ request }) => request.messageId === messageId)
    // Without a call its begin was cut and then known: the sweep ends it.
    const playing = call && play(call, asked, dice)
    if (dice() < 0.3) {
      await Bun.sleep(dice() * 30)
      await any()
        .asks.cancel(ann, messageId)
        .catch((error: unknown) => expect(error).toBeInstanceOf(ContractError))
    }
    await playing
    await node.done(sessionId, messageId)
  }
  return all
}

async function expectSound(node: AsksNode, asked: Asked[]): Promise<void> {
  const events = await node.events()
  expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(events.length)
  for (const { sessionId, messageId, said } of asked) {
    const steps = (await node.steps(sessionId)).filter((step) => 'messageId' in step)
    const own = steps.filter((step) => step.messageId === messageId)
    expect(own.map(({ type }) => type).filter((type) => type !== 'chunk')).toEqual([
      'started',
      'done',
    ])
    const chunks = own.filter((step) => step.type === 'chunk')
    const text = chunks.map((step) => (step.kind === 'text' ? step.text : '')).join('')
    const last = own.at(-1)
    const done = last && frameOf(last)
    expect(done).toMatchObject({
      chunks: chunks.length,
      length: text.length,
      sha256: createHash('sha256').update(text).digest('hex'),
    })
    const whole = said.length
    if (done?.['outcome'] === 'completed') expect(text.length).toBe(whole)
    else expect(text.length).toBeLessThanOrEqual(whole)
    const ofIt = events.filter((event) => 'messageId' in event && event['messageId'] === messageId)
    const ends = ofIt.filter(({ eventType }) => /^STREAM_(COMP|CANC|ERR)/.test(eventType))
    expect(ends).toHaveLength(1)
    const runs = ofIt.filter((event) => event.eventType === 'CHUNK_RECEIVED')
    runs.sort((a, b) => a.fromChunkIndex - b.fromChunkIndex)
    let next = 0
    for (const run of runs) {
      expect(run.fromChunkIndex).toBe(next)
      next = run.chunkIndex + 1
    }
    expect(next).toBe(chunks.length)
    const told = runs.map((run) => run.text).join('')
    expect(told).toBe(chunks.map((step) => step.text).join(''))
  }
}

for (const seed of [1, 2, 3]) {
  test(`three nodes on hot state that fails all the time end each answer once, whole: seed ${seed}`, async () => {
    const dice = diceOf(seed)
    const options = { timing, between: unreliable(dice), chat: { chunkEventMs: 15 } }
    await using first = asksNode(options)
    await using second = asksNode({ ...options, beside: first })
    await using third = asksNode({ ...options, beside: first })
    const nodes = [first, second, third]
    const sessions = Array.from({ length: 12 }, (_, at) => oneSession(nodes, `s${at}`, dice))
    const asked = (await Promise.all(sessions)).flat()
    expect(asked).toHaveLength(48)
    await expectSound(first, asked)
  })
}
