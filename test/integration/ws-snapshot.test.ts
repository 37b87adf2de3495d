import { expect, test } from 'bun:test'
import type { Live } from '#gateway/generations/generations.ts'
import { type TestGateway, type TestGatewayOptions, testGateway } from '../support/gateway.ts'
import { Reader } from '../support/reader.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { SseClient } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

/** One finished answer in session `s`; the epoch and the top after it. */
async function finished(gateway: TestGateway): Promise<{ epoch: number; top: number }> {
  const client = new WsClient(gateway.url, { sessionId: 's' })
  await client.live()
  await client.ask('hello')
  const { seq } = await client.frame('done')
  client.cut()
  const { cursor } = await client.live()
  return { epoch: Number(cursor.split('-')[0]), top: seq }
}

async function welcomeOf(gateway: TestGateway, cursor: string) {
  const client = new WsClient(gateway.url, { sessionId: 's', cursor })
  const live = await client.live()
  return { client, live, welcome: await client.frame('welcome') }
}

/** The events of connections that the log holds. */
async function eventsOf(gateway: TestGateway, eventType: string) {
  const events = await gateway.log.events()
  // In the order of their making, whichever node told them.
  return events
    .filter((event) => event.eventType === eventType)
    .sort((one, other) => (one.eventId < other.eventId ? -1 : 1))
}

test('a cursor at the top is resumed with nothing', async () => {
  await using gateway = testGateway()
  const { epoch, top } = await finished(gateway)
  const { client, live } = await welcomeOf(gateway, `${epoch}-${top}`)
  expect(client.frames).toMatchObject([{ type: 'welcome', start: 'resumed' }, { type: 'live' }])
  expect(live.cursor).toBe(`${epoch}-${top}`)
})

test('a cursor above the top gets a snapshot, ahead', async () => {
  await using gateway = testGateway()
  const { epoch, top } = await finished(gateway)
  const { client, live, welcome } = await welcomeOf(gateway, `${epoch}-${top + 1}`)
  expect(welcome).toMatchObject({ start: 'snapshot', reason: 'ahead' })
  expect(client.types()).toEqual(['welcome', 'history', 'live'])
  expect(live.cursor).toBe(`${epoch}-${top}`)
})

test('a cursor of another epoch gets a snapshot, epoch', async () => {
  await using gateway = testGateway()
  const { epoch, top } = await finished(gateway)
  for (const cursor of [`${epoch - 1}-${top}`, `${epoch + 1}-1`, '0-0']) {
    const { welcome } = await welcomeOf(gateway, cursor)
    expect(welcome).toMatchObject({ start: 'snapshot', reason: 'epoch' })
  }
})

test('a cursor whose steps are no longer kept gets a snapshot, expired', async () => {
  await using gateway = testGateway({ env: { RESUME_TTL: '1s' } })
  const { epoch, top } = await finished(gateway)
  const expired = async () =>
    (await gateway.generations.read('s', { epoch, seq: 1 }, 1, 1)).is === 'snapshot'
  await until(expired, { timeoutMs: 8_000 })
  for (const seq of [1, top]) {
    const { client, live, welcome } = await welcomeOf(gateway, `${epoch}-${seq}`)
    expect(welcome).toMatchObject({ start: 'snapshot', reason: 'expired' })
    expect(client.all('history')[0]?.messages.length).toBe(2)
    expect(live.cursor).toBe(`${epoch}-${top}`)
  }
})

test('erasure: a cursor before it gets a snapshot, one at it is resumed, an open socket hears it', async () => {
  await using gateway = testGateway()
  const { epoch, top } = await finished(gateway)
  const open = new WsClient(gateway.url, { sessionId: 's' })
  await open.live()
  const answer = await gateway.call('DELETE', '/api/history/s')
  expect(answer.body).toEqual({ sessionId: 's', cursor: `${epoch}-${top + 1}` })
  expect((await open.frame('erased')).seq).toBe(top + 1)
  const low = await welcomeOf(gateway, `${epoch}-${top - 1}`)
  expect(low.welcome).toMatchObject({ start: 'snapshot', reason: 'erased' })
  expect(low.client.all('history')[0]?.messages).toEqual([])
  const before = await welcomeOf(gateway, `${epoch}-${top}`)
  expect(before.client.types()).toEqual(['welcome', 'erased', 'live'])
  const at = await welcomeOf(gateway, `${epoch}-${top + 1}`)
  expect(at.client.types()).toEqual(['welcome', 'live'])
})

test('erasing an active answer cancels it first', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const client = new WsClient(gateway.url, { sessionId: 's' })
  await client.live()
  const { messageId } = await client.ask('hello')
  ;(await model.call(messageId)).say('words')
  await client.frame('chunk')
  await gateway.call('DELETE', '/api/history/s')
  await client.frame('erased')
  expect(client.types().slice(-2)).toEqual(['done', 'erased'])
  expect(client.all('done')[0]?.outcome).toBe('cancelled')
})

test('each connection with a cursor is told as a RECOVERY_ATTEMPT', async () => {
  await using gateway = testGateway()
  const { epoch, top } = await finished(gateway)
  await welcomeOf(gateway, `${epoch}-${top - 1}`)
  await welcomeOf(gateway, `${epoch}-${top + 7}`)
  const sse = new SseClient(gateway.url, { sessionId: 's', lastEventId: 'nonsense' })
  await sse.live()
  await new WsClient(gateway.url, { sessionId: 's' }).live()
  await until(async () => (await eventsOf(gateway, 'RECOVERY_ATTEMPT')).length >= 3)
  const told = await eventsOf(gateway, 'RECOVERY_ATTEMPT')
  const nodeId = expect.stringMatching(/^test-node/)
  const common = { sessionId: 's', userId: 'demo_user', nodeId }
  expect(told).toMatchObject([
    {
      ...common,
      cursor: `${epoch}-${top - 1}`,
      result: 'resumed',
      success: true,
      missed: 1,
      transport: 'websocket',
    },
    { cursor: `${epoch}-${top + 7}`, result: 'snapshot', success: false, reason: 'ahead' },
    { cursor: 'nonsense', result: 'snapshot', success: false, reason: 'epoch', transport: 'sse' },
  ])
  expect(told.length).toBe(3)
})

test('beginning and end of a connection are told with its id and close code', async () => {
  await using gateway = testGateway()
  const client = new WsClient(gateway.url, { sessionId: 's' })
  await client.live()
  client.socket.close(1000)
  const sse = new SseClient(gateway.url, { sessionId: 's' })
  await sse.live()
  sse.cut()
  await until(async () => (await eventsOf(gateway, 'CLIENT_DISCONNECTED')).length >= 2)
  const ended = await eventsOf(gateway, 'CLIENT_DISCONNECTED')
  const begun = await eventsOf(gateway, 'CLIENT_CONNECTED')
  expect(begun.map(({ transport }) => transport).sort()).toEqual(['sse', 'websocket'])
  const ids = (events: Record<string, unknown>[]) => events.map((it) => it['connectionId']).sort()
  expect(ids(ended)).toEqual(ids(begun))
  const ofSocket = ended.find(({ transport }) => transport === 'websocket')
  expect(ofSocket).toMatchObject({ code: 1000 })
})

/** A hot state whose live channel loses what the test says; `nth` counts the steps that a node has heard, from 1. */
function lossy(loses: (nth: number) => boolean) {
  const listeners: ((live: Live) => void)[] = []
  const between: TestGatewayOptions['between'] = (generations) => {
    let heard = 0
    return {
      ...generations,
      watch(sessionId, listener) {
        listeners.push(listener)
        return generations.watch(sessionId, (live) => {
          if (live.type !== 'steps' || !loses(++heard)) listener(live)
        })
      },
    }
  }
  return { between, say: (live: Live) => listeners.forEach((listener) => void listener(live)) }
}

test('a live step that was lost is read from the log when the next one comes', async () => {
  const model = new ScriptedModel()
  const { between } = lossy((nth) => nth === 3)
  await using gateway = testGateway({ model, between })
  const reader = new Reader(gateway.url, 's', 'websocket')
  reader.connect()
  await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
  const asker = await gateway.call('POST', '/api/chat', { body: { sessionId: 's', message: 'x' } })
  const { messageId } = asker.body
  const call = await model.call(messageId)
  call.say('one ')
  await reader.until((it) => it.text(messageId) === 'one ', 'the first chunk')
  call.say('two ')
  await until(async () => (await gateway.generations.find(messageId))?.next === 2)
  expect(reader.text(messageId)).toBe('one ')
  call.say('three')
  call.end()
  await reader.done(messageId)
  expect(reader.text(messageId)).toBe('one two three')
  expect(reader.link?.all('welcome').length).toBe(1)
})

test('a live step that was lost with nothing after it is found by the regular look', async () => {
  const model = new ScriptedModel()
  const { between } = lossy(() => true)
  await using gateway = testGateway({ model, between, timing: { reconcileMs: 30 } })
  const reader = new Reader(gateway.url, 's', 'websocket')
  reader.connect()
  await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
  const asker = await gateway.call('POST', '/api/chat', { body: { sessionId: 's', message: 'x' } })
  const { messageId } = asker.body
  const call = await model.call(messageId)
  call.say('all of it')
  call.end()
  await reader.done(messageId)
  expect(reader.text(messageId)).toBe('all of it')
  expect(reader.link?.all('welcome').length).toBe(1)
})

test('moved: an open connection reads on, and nothing comes twice', async () => {
  const model = new ScriptedModel()
  let isDeaf = false
  const { between, say } = lossy(() => isDeaf)
  await using gateway = testGateway({ model, between })
  const reader = new Reader(gateway.url, 's', 'websocket')
  reader.connect()
  await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
  const asker = await gateway.call('POST', '/api/chat', { body: { sessionId: 's', message: 'x' } })
  const { messageId } = asker.body
  const call = await model.call(messageId)
  isDeaf = true
  call.say('unheard ')
  await until(async () => (await gateway.generations.find(messageId))?.next === 1)
  isDeaf = false
  say({ type: 'moved' })
  await reader.until((it) => it.text(messageId) === 'unheard ', 'what was missed')
  call.say('heard')
  call.end()
  await reader.done(messageId)
  expect(reader.text(messageId)).toBe('unheard heard')
})

test('a session that hot state has lost gets a snapshot on the open connection', async () => {
  let isLost = false
  // What is left under its name is another session, of which nothing is known yet.
  const now = (sessionId: string) => (isLost ? `${sessionId}-anew` : sessionId)
  const { between: inner, say } = lossy(() => false)
  const between: TestGatewayOptions['between'] = (generations) => ({
    ...(inner?.(generations) ?? generations),
    open: (input) => {
      const session = { ...input.session, sessionId: now(input.session.sessionId) }
      return generations.open({ ...input, session })
    },
    read: (sessionId, ...rest) => generations.read(now(sessionId), ...rest),
    snapshot: (sessionId) => generations.snapshot(now(sessionId)),
  })
  await using gateway = testGateway({ between })
  await finished(gateway)
  const reader = new Reader(gateway.url, 's', 'websocket')
  reader.connect()
  await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
  expect(reader.transcript.messages.length).toBe(2)
  isLost = true
  say({ type: 'moved' })
  await reader.until(({ link }) => link?.all('live').length === 2, 'live again')
  expect(reader.link?.all('welcome')[1]).toMatchObject({ start: 'snapshot', reason: 'epoch' })
  expect(reader.transcript.cursor).toEndWith('-0')
  expect(reader.transcript.messages).toEqual([])
})
