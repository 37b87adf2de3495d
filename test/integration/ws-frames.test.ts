import { describe, expect, test } from 'bun:test'
import { testGateway } from '../support/gateway.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

async function joined(url: string, sessionId = 's'): Promise<WsClient> {
  const client = new WsClient(url, { sessionId })
  await client.live()
  return client
}

const badFrames: [name: string, frame: object, field: string][] = [
  ['no type', {}, 'type'],
  ['an unknown type', { type: 'dance' }, 'type'],
  ['a type that is no text', { type: 7 }, 'type'],
  ['a chat without content', { type: 'chat' }, 'content'],
  ['content that is no text', { type: 'chat', content: 7 }, 'content'],
  ['blank content', { type: 'chat', content: ' \n' }, 'content'],
  ['a requestId out of range', { type: 'chat', content: 'a', requestId: 'a b' }, 'requestId'],
  ['options that are no object', { type: 'chat', content: 'a', options: 'x' }, 'options'],
  [
    'a temperature out of range',
    { type: 'chat', content: 'a', options: { temperature: 3 } },
    'options.temperature',
  ],
  [
    'maxTokens that are none',
    { type: 'chat', content: 'a', options: { maxTokens: 0 } },
    'options.maxTokens',
  ],
  [
    'a model that is not in the list',
    { type: 'chat', content: 'a', options: { model: 'none such' } },
    'options.model',
  ],
  ['metadata that are no object', { type: 'chat', content: 'a', metadata: [] }, 'metadata'],
  [
    'metadata over 4 KiB',
    { type: 'chat', content: 'a', metadata: { a: 'x'.repeat(4_100) } },
    'metadata',
  ],
  ['attachments', { type: 'chat', content: 'a', attachments: [] }, 'attachments'],
  ['a cancel without messageId', { type: 'cancel' }, 'messageId'],
  ['a cancel with a bad messageId', { type: 'cancel', messageId: 'a/b' }, 'messageId'],
  ['an auth without token', { type: 'auth' }, 'token'],
]

test.each(badFrames)(
  '%s is answered by invalid_request that names the field',
  async (_, frame, field) => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    client.send(frame)
    const error = await client.frame('error')
    expect(error).toMatchObject({ code: 'invalid_request', field, temporary: false })
    client.send({ type: 'ping' })
    await client.frame('pong')
    expect(client.closed).toBeNull()
  },
)

test('an error of a question carries its requestId', async () => {
  await using gateway = testGateway()
  const client = await joined(gateway.url)
  client.send({ type: 'chat', content: 7, requestId: 'r-1' })
  expect(await client.frame('error')).toMatchObject({ field: 'content', requestId: 'r-1' })
  client.send({ type: 'chat', content: '', requestId: 'r-2' })
  expect(await client.frame('error', 1)).toMatchObject({ field: 'content', requestId: 'r-2' })
})

test('an error of a cancel carries its messageId', async () => {
  await using gateway = testGateway()
  const client = await joined(gateway.url)
  const messageId = '01a210d0-b919-703d-bfb7-870fb91ca0a8'
  client.send({ type: 'cancel', messageId })
  expect(await client.frame('error')).toMatchObject({ code: 'not_found', messageId })
})

describe('a socket is closed', () => {
  const notObjects = ['no json', '[]', '7', 'null', '"text"', '']

  test.each(notObjects)('with 4500 by %j', async (text) => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    client.socket.send(text)
    expect(await client.close()).toBe(4500)
    expect(client.frames.at(-1)).toMatchObject({ type: 'error', code: 'invalid_request' })
  })

  test('with 4500 by a binary frame', async () => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    client.socket.send(new TextEncoder().encode('{"type":"ping"}'))
    expect(await client.close()).toBe(4500)
  })

  test('with 4500 by the 20th bad frame, not by the 19th', async () => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    for (let bad = 0; bad < 19; bad += 1) client.send({ type: 'dance' })
    client.send({ type: 'ping' })
    await client.frame('pong')
    expect(client.all('error').length).toBe(19)
    client.send({ type: 'chat' })
    expect(await client.close()).toBe(4500)
    expect(client.all('error').length).toBe(20)
  })

  test('with 4029 by the 101st frame of a second', async () => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    for (let frame = 0; frame < 100; frame += 1) client.send({ type: 'pong' })
    client.send({ type: 'ping' })
    expect(await client.close()).toBe(4029)
    expect(client.frames.at(-1)).toMatchObject({ type: 'error', code: 'rate_limited' })
  })

  test.each([65_537, 200_000, 1_048_576])('with 4509 by a frame of %d bytes', async (bytes) => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    client.socket.send('x'.repeat(bytes))
    expect(await client.close()).toBe(4509)
    expect(client.frames.at(-1)).toMatchObject({ type: 'error', code: 'too_large' })
  })

  test('with 4509 by 64 KiB of fewer characters', async () => {
    await using gateway = testGateway()
    const client = await joined(gateway.url)
    client.socket.send('ü'.repeat(32_769))
    expect(await client.close()).toBe(4509)
  })
})

test('a frame of 64 KiB is read', async () => {
  await using gateway = testGateway()
  const client = await joined(gateway.url)
  client.send({ type: 'ping', padding: 'x'.repeat(65_536 - 29) })
  await client.frame('pong')
  expect(client.closed).toBeNull()
})

test('unknown fields are ignored', async () => {
  await using gateway = testGateway()
  const client = await joined(gateway.url)
  client.send({ type: 'chat', content: 'hello', colour: 'blue', options: { mood: 'good' } })
  expect((await client.frame('accepted')).duplicate).toBe(false)
  expect((await client.frame('done')).outcome).toBe('completed')
})

test('accepted comes before any other frame of its answer, on every question of many', async () => {
  await using gateway = testGateway({ env: { RATE_CHATS_PER_MINUTE: '0' } })
  const sender = await joined(gateway.url)
  const other = await joined(gateway.url)
  for (let turn = 0; turn < 15; turn += 1) {
    const accepted = await sender.ask(`question ${turn}`, `r-${turn}`)
    expect(accepted).toMatchObject({ requestId: `r-${turn}`, sessionId: 's', conversationId: 's' })
    await sender.frame('done', turn)
  }
  for (const { messageId } of sender.all('accepted')) {
    const first = sender.frames.find((frame) => frame['messageId'] === messageId)
    expect(first?.type).toBe('accepted')
  }
  await other.frame('done', 14)
  expect(other.all('accepted')).toEqual([])
  expect(other.all('started').map(({ requestId }) => requestId)).toEqual(
    sender.all('accepted').map(({ requestId }) => requestId),
  )
})

test('accepted comes first when the steps are heard long before the question is answered', async () => {
  const model = new ScriptedModel()
  const { promise: late, resolve: letGo } = Promise.withResolvers<void>()
  await using gateway = testGateway({
    model,
    between: (generations) => ({
      ...generations,
      async begin(step) {
        const result = await generations.begin(step)
        await late
        return result
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
  })
  const sender = await joined(gateway.url)
  const other = await joined(gateway.url)
  sender.send({ type: 'chat', content: 'hello', requestId: 'r' })
  await other.frame('started')
  sender.send({ type: 'ping' })
  await sender.frame('pong')
  expect(sender.types()).not.toContain('started')
  letGo()
  const { messageId } = await sender.frame('accepted')
  await sender.frame('started')
  const call = await model.call(messageId)
  call.say('one')
  await sender.frame('chunk')
  call.end()
  await sender.frame('done')
  const mine = sender.frames.filter((frame) => frame['messageId'] === messageId)
  expect(mine[0]?.type).toBe('accepted')
  expect(mine.map((frame) => frame['seq']).filter(Boolean)).toEqual([1, 2, 3])
})

test('questions of one socket are asked in order, the second meets the first', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const client = await joined(gateway.url)
  client.send({ type: 'chat', content: 'first', requestId: 'r-1' })
  client.send({ type: 'chat', content: 'second', requestId: 'r-2' })
  const { messageId, requestId } = await client.frame('accepted')
  expect(requestId).toBe('r-1')
  const busy = { code: 'generation_in_progress', temporary: true, requestId: 'r-2', messageId }
  expect(await client.frame('error')).toMatchObject(busy)
})

test('a question sent before live is asked after it', async () => {
  await using gateway = testGateway()
  const client = new WsClient(gateway.url, { sessionId: 's' })
  await until(() => client.socket.readyState === WebSocket.OPEN)
  client.send({ type: 'chat', content: 'early' })
  await client.frame('done')
  expect(client.types().slice(0, 5)).toEqual(['welcome', 'history', 'live', 'accepted', 'started'])
})

test('a duplicate gets the first one’s ids and no steps again', async () => {
  await using gateway = testGateway()
  const client = await joined(gateway.url)
  const first = await client.ask('hello', 'key')
  await client.frame('done')
  const steps = client.frames.length
  const again = await client.ask('hello', 'key')
  expect(again).toEqual({ ...first, duplicate: true })
  client.send({ type: 'chat', content: 'other', requestId: 'key' })
  expect(await client.frame('error')).toMatchObject({ code: 'idempotency_conflict' })
  expect(client.frames.length).toBe(steps + 2)
})

test('a cancel is answered with the outcome that stands, to the one who asked', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const asker = await joined(gateway.url)
  const other = await joined(gateway.url)
  const { messageId } = await asker.ask('hello')
  const call = await model.call(messageId)
  call.say('some words')
  await other.frame('chunk')
  other.send({ type: 'cancel', messageId })
  expect(await other.frame('cancelled')).toEqual({
    type: 'cancelled',
    messageId,
    outcome: 'cancelled',
  })
  expect(await asker.frame('done')).toMatchObject({ outcome: 'cancelled', chunks: 1 })
  other.send({ type: 'cancel', messageId })
  expect(await other.frame('cancelled', 1)).toMatchObject({ outcome: 'cancelled' })
  expect(asker.all('cancelled')).toEqual([])
})

describe('auth', () => {
  test('refreshes the token of the same user', async () => {
    await using gateway = testGateway()
    const client = new WsClient(gateway.url, { sessionId: 's', token: await gateway.token('ann') })
    await client.live()
    client.send({ type: 'auth', token: await gateway.token('ann') })
    const { expiresAt } = await client.frame('authenticated')
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now())
  })

  test('with a bad token, or another user’s, leaves the old one in force', async () => {
    await using gateway = testGateway()
    const client = new WsClient(gateway.url, { sessionId: 's', token: await gateway.token('ann') })
    await client.live()
    client.send({ type: 'auth', token: 'nonsense' })
    expect(await client.frame('error')).toMatchObject({ code: 'not_authenticated' })
    client.send({ type: 'auth', token: await gateway.token('bob') })
    expect(await client.frame('error', 1)).toMatchObject({ code: 'forbidden' })
    await client.ask('hello')
    expect((await client.frame('done')).outcome).toBe('completed')
  })
})

test('a ping of the WebSocket protocol itself disturbs nothing', async () => {
  await using gateway = testGateway()
  await using raw = await RawSocket.webSocket(gateway.url, '/ws/chat?sessionId=s')
  await until(() => raw.text.includes('"live"'))
  raw.send('', 9)
  raw.send('{"type":"ping"}')
  await until(() => raw.text.includes('"pong"'))
})
