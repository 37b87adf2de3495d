import { describe, expect, test } from 'bun:test'
import { defaultTiming } from '#client/connection/timing.ts'
import { TransportChoice } from '#client/connection/transport-choice.ts'
import { isOpen, quick, shown, testChat } from '../support/chat-client.ts'
import { ScriptedGateway } from '../support/scripted-gateway.ts'
import { until } from '../support/until.ts'

describe('a blocked WebSocket', () => {
  test.each(['refused', 'hangs'] as const)('that is %s gives way to SSE', async (how) => {
    await using gateway = new ScriptedGateway()
    gateway.script.webSocket = how
    const chat = testChat({ url: gateway.url, timing: { probeMs: 60_000 } })
    await isOpen(chat)
    expect(chat.snapshot().transport).toBe('sse')
    const { messageId } = await chat.send('hello')
    expect(gateway.requests.at(-1)).toMatchObject({ method: 'POST', path: '/api/chat' })
    gateway.say('one ')
    gateway.say('two')
    await until(() => shown(chat)[1] === 'assistant: one two')
    expect(await chat.stop()).toBe('cancelled')
    expect(await chat.finished(messageId)).toMatchObject({
      outcome: 'cancelled',
      content: 'one two',
    })
  })

  test('is looked at again while nothing is made, and taken when it passes', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.webSocket = 'refused'
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    await chat.send('hello')
    gateway.script.webSocket = 'open'
    gateway.say('one ')
    await Bun.sleep(2 * quick.probeMaxMs)
    expect(chat.snapshot().transport).toBe('sse')
    gateway.end()
    await until(() => chat.snapshot().transport === 'websocket' && chat.snapshot().state === 'open')
    await until(() => gateway.open.length === 1)
    expect(gateway.last.cursor).toBe(gateway.cursor)
    expect(shown(chat)).toEqual(['user: hello', 'assistant: one '])
  })

  test('is what the server says, when SSE is refused too', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.webSocket = 'refused'
    gateway.script.sse = 403
    const chat = testChat({ url: gateway.url })
    await until(() => chat.snapshot().state === 'closed')
    expect(chat.snapshot().reason).toMatchObject({ code: 'forbidden', details: { status: 403 } })
  })
})

describe('SSE', () => {
  test('that ends goes on from Last-Event-ID', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url, transport: 'sse' })
    await isOpen(chat)
    await chat.send('hello')
    for (const word of ['one ', 'two ', 'three ']) {
      gateway.say(word)
      await until(() => shown(chat)[1]?.endsWith(word))
      const { cursor } = gateway
      gateway.last.cut()
      await until(() => gateway.open.length === 1)
      expect(gateway.last.cursor).toBe(cursor)
    }
    gateway.end()
    await until(() => chat.snapshot().activeId === null)
    expect(shown(chat)).toEqual(['user: hello', 'assistant: one two three '])
  })

  test('asks the token of a function anew after 401', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.sse = 401
    let asked = 0
    const token = () => {
      asked += 1
      if (asked === 2) gateway.script.sse = 'open'
      return Promise.resolve(`token-${asked}`)
    }
    const chat = testChat({ url: gateway.url, transport: 'sse', token })
    await isOpen(chat)
    expect(gateway.last.token).toBe('token-2')
  })
})

test('while nothing can be reached both are tried, and the WebSocket has the first word', () => {
  const choice = new TransportChoice(defaultTiming, null)
  const tried: string[] = []
  for (let i = 0; i < 6; i++) {
    const transport = choice.next()
    tried.push(transport)
    choice.ended(transport, { answered: false, timedOut: false })
  }
  expect(tried).toEqual(['websocket', 'websocket', 'sse', 'websocket', 'websocket', 'sse'])
})

test('a server that comes back is found, whatever was tried meanwhile', async () => {
  const before = new ScriptedGateway()
  const { port } = before
  const chat = testChat({ url: before.url })
  await isOpen(chat)
  await before[Symbol.asyncDispose]()
  await until(() => chat.snapshot().state === 'reconnecting')
  await using _gateway = new ScriptedGateway(port)
  await isOpen(chat)
  await until(() => chat.snapshot().transport === 'websocket' && chat.snapshot().state === 'open')
})
