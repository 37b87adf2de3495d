import { describe, expect, test } from 'bun:test'
import { deltas } from '../support/deltas.ts'
import { testGateway } from '../support/gateway.ts'
import { noLimits } from '../support/no-limits.ts'
import { Reader, sha256 } from '../support/reader.ts'
import { type ModelCall, ScriptedModel } from '../support/scripted-model.ts'
import { SseClient } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

interface Asked {
  messageId: string
  call: ModelCall
}

/** As SSE and WebSocket have it in common. */
function withoutId({ id, ...frame }: { id?: string | null; type: string }): object {
  return frame
}

async function ask(url: string, sessionId: string, model: ScriptedModel): Promise<Asked> {
  const sender = new WsClient(url, { sessionId })
  await sender.live()
  const { messageId } = await sender.ask('why?')
  const call = await model.call(messageId)
  sender.cut()
  return { messageId, call }
}

describe.each(['websocket', 'sse'] as const)('over %s', (transport) => {
  test('cut at every chunk and resumed by its cursor, an answer is whole', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model, env: noLimits })
    for (let cutAt = 0; cutAt <= deltas.length; cutAt += 1) {
      const sessionId = `cut-${cutAt}`
      const { messageId, call } = await ask(gateway.url, sessionId, model)
      const reader = new Reader(gateway.url, sessionId, transport)
      reader.connect()
      await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
      const shown = deltas.slice(0, cutAt)
      for (const text of shown) call.say(text)
      await reader.until((it) => it.text(messageId) === shown.join(''), `${cutAt} chunks`)
      reader.cut()
      for (const text of deltas.slice(cutAt, -2)) call.say(text)
      reader.connect()
      for (const text of deltas.slice(Math.max(cutAt, deltas.length - 2))) call.say(text)
      call.end()
      await reader.done(messageId)
      expect(reader.link?.frames[0]).toMatchObject({ type: 'welcome', start: 'resumed' })
      expect(reader.text(messageId)).toBe(deltas.join(''))
      const done = await reader.link?.frame('done')
      expect(done).toMatchObject({
        chunks: deltas.length,
        length: deltas.join('').length,
        sha256: sha256(deltas.join('')),
      })
      reader.cut()
    }
  }, 30_000)

  test('joined at every chunk without a cursor, an answer is whole', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model, env: noLimits })
    const { messageId, call } = await ask(gateway.url, 's', model)
    const readers: Reader[] = []
    for (const text of ['', ...deltas]) {
      if (text !== '') call.say(text)
      const reader = new Reader(gateway.url, 's', transport)
      reader.connect()
      await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
      readers.push(reader)
    }
    call.end()
    for (const reader of readers) {
      await reader.done(messageId)
      expect(reader.text(messageId)).toBe(deltas.join(''))
      reader.cut()
    }
  })

  test('the chunks of a snapshot have no seq and count from 0', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model })
    const { messageId, call } = await ask(gateway.url, 's', model)
    call.think('hm, ', 'so')
    call.say('yes')
    const find = async () => (await gateway.generations.find(messageId))?.next === 3
    await until(find)
    const link =
      transport === 'websocket'
        ? new WsClient(gateway.url, { sessionId: 's' })
        : new SseClient(gateway.url, { sessionId: 's' })
    const live = await link.live()
    expect(link.types()).toEqual(['welcome', 'history', 'status', 'chunk', 'chunk', 'live'])
    expect(link.all('chunk').map(withoutId)).toEqual([
      {
        type: 'chunk',
        messageId,
        chunkIndex: 1,
        fromChunkIndex: 0,
        kind: 'reasoning',
        text: 'hm, so',
      },
      { type: 'chunk', messageId, chunkIndex: 2, part: 1, text: 'yes' },
    ])
    expect(live.cursor).toEndWith('-4')
    call.end()
    await link.frame('done')
  })
})

test('two viewers hear the same steps, whoever asked', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const one = new WsClient(gateway.url, { sessionId: 's' })
  const two = new SseClient(gateway.url, { sessionId: 's' })
  await one.live()
  await two.live()
  const { messageId } = await one.ask('hello')
  const call = await model.call(messageId)
  for (const [at, text] of deltas.entries()) {
    call.say(text)
    await two.frame('chunk', at)
  }
  call.end()
  await one.frame('done')
  await two.frame('done')
  const steps = (link: WsClient | SseClient) =>
    link.frames.filter((frame) => frame['seq'] !== undefined).map(withoutId)
  expect(steps(two)).toEqual(steps(one))
})
