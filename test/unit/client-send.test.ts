import { describe, expect, test } from 'bun:test'
import type { ErrorFrame } from '#client/frames.ts'
import { isOpen, shown, testChat } from '../support/chat-client.ts'
import { ScriptedGateway } from '../support/scripted-gateway.ts'
import { until } from '../support/until.ts'

const refusal = (more: Partial<ErrorFrame>): ErrorFrame => ({
  type: 'error',
  code: 'rate_limited',
  message: 'Too many questions.',
  temporary: true,
  ...more,
})

const about = (requestId: string | undefined) => (requestId === undefined ? {} : { requestId })

describe('a question', () => {
  test('is shown at once, and once, before and after the server took it', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    const lists: string[][] = []
    chat.subscribe(() => lists.push(shown(chat)))
    const sent = chat.send('hello', { requestId: 'r1', metadata: { a: 1 } })
    expect(chat.snapshot()).toMatchObject({ isSending: true })
    expect(chat.snapshot().messages).toMatchObject([{ content: 'hello', status: 'sending' }])
    const { messageId, userMessageId, duplicate } = await sent
    await until(() => chat.snapshot().activeId === messageId)
    expect(duplicate).toBe(false)
    expect(chat.snapshot().messages.map((message) => message.messageId)).toEqual([
      userMessageId,
      messageId,
    ])
    for (const list of lists) expect(list.filter((line) => line === 'user: hello')).toHaveLength(1)
    expect(gateway.last.received).toEqual([
      { type: 'chat', requestId: 'r1', content: 'hello', metadata: { a: 1 } },
    ])
  })

  test('whose answer was lost with the connection is asked once', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.loseAccepted = true
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    const accepted = await chat.send('hello')
    expect(accepted.messageId).toBe('answer-1')
    await until(() => shown(chat).length === 2)
    await isOpen(chat)
    expect(shown(chat)).toEqual(['user: hello', 'assistant: '])
    expect(gateway.steps.filter(({ type }) => type === 'started')).toHaveLength(1)
  })

  test('that was sent while the server was away arrives later', async () => {
    const before = new ScriptedGateway()
    const { port } = before
    const chat = testChat({ url: before.url })
    await isOpen(chat)
    await before[Symbol.asyncDispose]()
    const sent = chat.send('hello')
    expect(shown(chat)).toEqual(['user: hello'])
    await using gateway = new ScriptedGateway(port)
    await sent
    expect(gateway.steps.filter(({ type }) => type === 'started')).toHaveLength(1)
  })

  test('too large for a frame goes over REST, for the socket would be closed for good', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    // 32 KiB of content, 192 KiB as JSON.
    await chat.send('\u0001'.repeat(32_768))
    expect(gateway.last.received).toEqual([])
    expect(gateway.requests.at(-1)).toMatchObject({ path: '/api/chat' })
  })

  test('that is refused stays, can be sent again under its id, or discarded', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.onChat = ({ requestId }) => refusal(about(requestId))
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    const refused = { code: 'rate_limited', message: 'Too many questions.', temporary: true }
    await expect(chat.send('hello', { requestId: 'r1' })).rejects.toMatchObject(refused)
    expect(chat.snapshot().messages).toMatchObject([
      { content: 'hello', status: 'unsent', error: { code: 'rate_limited' } },
    ])
    gateway.script.onChat = null
    await chat.retry('r1')
    await until(() => chat.snapshot().activeId !== null)
    expect(shown(chat)).toEqual(['user: hello', 'assistant: '])
    gateway.end()
    gateway.script.onChat = ({ requestId }) => refusal(about(requestId))
    await expect(chat.send('more', { requestId: 'r2' })).rejects.toMatchObject(refused)
    chat.discard('r2')
    expect(shown(chat)).toEqual(['user: hello', 'assistant: '])
  })

  test('that the server can not take for a moment is sent again by itself', async () => {
    await using gateway = new ScriptedGateway()
    let refusals = 2
    gateway.script.onChat = ({ requestId }) =>
      refusals-- > 0 ? refusal({ code: 'unavailable', ...about(requestId) }) : null
    const chat = testChat({ url: gateway.url })
    expect(await chat.send('hello')).toMatchObject({ duplicate: false })
    expect(refusals).toBe(-1)
  })
})

describe('stop', () => {
  test('ends the answer in hand and says what stands; asking twice is one wish', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    const { messageId } = await chat.send('hello')
    await until(() => chat.snapshot().activeId === messageId)
    gateway.say('one')
    expect(await Promise.all([chat.stop(), chat.stop()])).toEqual(['cancelled', 'cancelled'])
    expect(gateway.last.received.filter(({ type }) => type === 'cancel')).toHaveLength(1)
    expect(await chat.stop()).toBeNull()
  })

  test('before the server has said which answer it is stops it as soon as it does', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    const sent = chat.send('hello')
    await chat.stop()
    const { messageId } = await sent
    expect(await chat.finished(messageId)).toMatchObject({ outcome: 'cancelled' })
  })

  test('before anything went out takes the question back', async () => {
    const chat = testChat({ url: 'http://127.0.0.1:9' })
    const sent = chat.send('hello')
    await chat.stop()
    await expect(sent).rejects.toMatchObject({ code: 'aborted' })
  })

  test('that was said into a dying connection is said again when it is back', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    const { messageId } = await chat.send('hello')
    await until(() => chat.snapshot().activeId === messageId)
    const dying = gateway.last
    dying.isOpen = false
    dying.cut()
    expect(await chat.stop()).toBe('cancelled')
    expect(dying.received.map(({ type }) => type)).toEqual(['chat'])
    expect(gateway.last.received.map(({ type }) => type)).toEqual(['cancel'])
  })
})

test('regenerate sends no text and shows a second answer to the same question', async () => {
  await using gateway = new ScriptedGateway()
  const chat = testChat({ url: gateway.url })
  await isOpen(chat)
  const sent = chat.send('', { regenerate: 'answer-9', requestId: 'r1' })
  expect(shown(chat)).toEqual([])
  await sent
  const frame = { type: 'chat', requestId: 'r1', regenerate: 'answer-9' } as const
  expect(gateway.last.received).toEqual([frame])
})

test('older history is put before what is shown, once', async () => {
  await using gateway = new ScriptedGateway()
  const message = (messageId: string, content: string) =>
    ({
      messageId,
      conversationId: 's',
      role: 'user',
      content,
      outcome: 'completed',
      createdAt: '2026-01-01T00:00:00.000Z',
    }) as const
  gateway.history = [message('m3', 'third')]
  gateway.older = [message('m1', 'first'), message('m2', 'second'), message('m3', 'third')]
  const chat = testChat({ url: gateway.url })
  await isOpen(chat)
  expect(chat.snapshot().hasOlder).toBe(true)
  await Promise.all([chat.loadOlder(), chat.loadOlder()])
  expect(shown(chat)).toEqual(['user: first', 'user: second', 'user: third'])
  expect(chat.snapshot().hasOlder).toBe(false)
})

test('two clients of a session see the same', async () => {
  await using gateway = new ScriptedGateway()
  const [one, two] = [
    testChat({ url: gateway.url }),
    testChat({ url: gateway.url, transport: 'sse' }),
  ]
  await isOpen(one)
  await isOpen(two)
  await one.send('hello')
  for (const letter of 'answer') gateway.say(letter)
  gateway.end()
  await until(() => two.snapshot().messages[1]?.outcome === 'completed')
  await until(() => one.snapshot().messages[1]?.outcome === 'completed')
  expect(shown(two)).toEqual(['user: hello', 'assistant: answer'])
  expect(shown(one)).toEqual(shown(two))
})

test('events come as an iterator that ends with the chat', async () => {
  await using gateway = new ScriptedGateway()
  const chat = testChat({ url: gateway.url })
  await isOpen(chat)
  let text = ''
  const reader = (async () => {
    for await (const event of chat.events()) {
      if (event.type === 'chunk') text += event.text
      if (event.type === 'done') chat.close()
    }
  })()
  await chat.send('hello')
  for (const letter of 'answer') gateway.say(letter)
  gateway.end()
  await reader
  expect(text).toBe('answer')
})
