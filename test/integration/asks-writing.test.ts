import { describe, expect, test } from 'bun:test'
import type { Generations } from '#gateway/generations/generations.ts'
import type { Append } from '#gateway/generations/steps.ts'
import { ann, asksNode } from '../support/asks-node.ts'
import { until } from '../support/until.ts'

/** Hot state that tells what it is sent, and takes its time. */
function recorded(calls: Append[][], delayMs = 0) {
  return (real: Generations): Generations => ({
    ...real,
    async append(steps) {
      calls.push(steps)
      if (delayMs > 0) await Bun.sleep(delayMs)
      return real.append(steps)
    },
  })
}

const sizes = (calls: Append[][]) => calls.map((steps) => steps.map(({ chunks }) => chunks.length))

describe('the chunks of all answers of a node', () => {
  test('that come in one turn of the event loop are one call of hot state', async () => {
    const calls: Append[][] = []
    await using node = asksNode({ between: recorded(calls) })
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, at) => {
        const { messageId } = await node.asks.ask(ann, { sessionId: `s${at}`, content: 'a' })
        return node.model.call(messageId)
      }),
    )
    for (const call of answers) call.say('x')
    await until(() => calls.length > 0)
    expect(calls[0]).toHaveLength(50)
    for (const call of answers) call.say('y', 'z')
    await until(() => calls.flat().length === 100)
    expect(calls.length).toBeLessThan(20)
  })

  test('are written at once after a pause, and together inside the window', async () => {
    const calls: Append[][] = []
    await using node = asksNode({ between: recorded(calls) })
    const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content: 'a' })
    const call = await node.model.call(messageId)
    const takenMs = async (work: () => void) => {
      const before = calls.length
      const beganMs = performance.now()
      work()
      await until(() => calls.length > before, { everyMs: 0 })
      return performance.now() - beganMs
    }
    const pauses: number[] = []
    for (let round = 0; round < 5; round++) {
      await Bun.sleep(60)
      pauses.push(await takenMs(() => call.say('a')))
    }
    // The best of five: the window is 20 ms, and no chunk after a pause waits for it.
    expect(Math.min(...pauses)).toBeLessThan(15)
    call.say('b')
    await Promise.resolve()
    call.say('c')
    await until(
      () =>
        sizes(calls)
          .flat()
          .reduce((a, b) => a + b) === 7,
    )
    expect(sizes(calls)).toEqual([[1], [1], [1], [1], [1], [2]])
  })

  test('have no more than one call under way', async () => {
    const calls: Append[][] = []
    let underWay = 0
    let most = 0
    await using node = asksNode({
      between: (real) => ({
        ...real,
        async append(steps) {
          underWay++
          most = Math.max(most, underWay)
          calls.push(steps)
          await Bun.sleep(5)
          underWay--
          return real.append(steps)
        },
      }),
    })
    const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content: 'a' })
    const call = await node.model.call(messageId)
    for (let i = 0; i < 40; i++) {
      call.say(`${i} `)
      await Bun.sleep(1)
    }
    call.end()
    expect(await node.done('s1', messageId)).toMatchObject({ outcome: 'completed', chunks: 40 })
    expect(most).toBe(1)
  })

  test('are merged when writing takes long, and lose nothing by it', async () => {
    const calls: Append[][] = []
    await using node = asksNode({ between: recorded(calls, 60) })
    const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content: 'a' })
    const call = await node.model.call(messageId)
    let text = ''
    for (let i = 0; i < 900; i++) {
      text += `${i} `
      call.say(`${i} `)
      if (i % 10 === 0) call.think('hm')
      await Bun.sleep(1)
    }
    call.end()
    const done = await node.done('s1', messageId)
    expect(done['length']).toBe(text.length)
    expect(done['chunks']).toBeLessThan(900)
    const steps = await node.steps('s1')
    const chunks = steps.filter((step) => step.type === 'chunk')
    expect(chunks.map(({ chunkIndex }) => chunkIndex)).toEqual(chunks.map((_, index) => index))
    const said = chunks.filter(({ kind }) => kind === 'text').map((chunk) => chunk.text)
    expect(said.join('')).toBe(text)
    expect((await node.history('s1')).at(-1)?.content).toBe(text)
  })
})
