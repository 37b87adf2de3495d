import { beforeAll, describe, expect, test } from 'bun:test'
import { uuidv7 } from '#runtime/ids.ts'
import { deltas } from '../support/deltas.ts'
import { Reader, sha256 } from '../support/reader.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { said } from '../support/said.ts'
import { SseClient } from '../support/sse-client.ts'
import { ask, type Nodes, twoNodes } from '../support/two-nodes.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// What a client sees of it that there are two nodes: nothing. `one` makes the answers, `two` knows of them from Redis alone,
// unless a test says otherwise.

const whole = deltas.join('')

let redis: RedisServer

beforeAll(async () => {
  redis = await startRedis()
})

async function reading(
  it: Nodes,
  { url, sessionId, transport }: { url: string; sessionId: string; transport: 'websocket' | 'sse' },
): Promise<Reader> {
  const reader = new Reader(it.one, sessionId, transport)
  reader.connect(url)
  await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
  return reader
}

describe.each(['websocket', 'sse'] as const)('over %s', (transport) => {
  test('cut at every chunk on one node and resumed on the other, an answer is whole', async () => {
    await using it = twoNodes(redis.url)
    for (let cutAt = 0; cutAt <= deltas.length; cutAt += 1) {
      // Away from the owner, and to it.
      for (const [first, then] of [[it.one, it.two] as const, [it.two, it.one] as const]) {
        const sessionId = `cut-${cutAt}-from-${first === it.one ? 'one' : 'two'}`
        const call = await ask(it, sessionId)
        const { messageId } = call.request
        const reader = await reading(it, { url: first, sessionId, transport })
        const shown = deltas.slice(0, cutAt)
        for (const text of shown) call.say(text)
        await reader.until((all) => all.text(messageId) === shown.join(''), `${cutAt} chunks`)
        reader.cut()
        for (const text of deltas.slice(cutAt, -2)) call.say(text)
        reader.connect(then)
        for (const text of deltas.slice(Math.max(cutAt, deltas.length - 2))) call.say(text)
        call.end()
        await reader.done(messageId)
        expect(reader.link?.frames[0]).toMatchObject({ type: 'welcome', start: 'resumed' })
        expect(reader.text(messageId)).toBe(whole)
        expect(await reader.link?.frame('done')).toMatchObject({
          outcome: 'completed',
          chunks: deltas.length,
          length: whole.length,
          sha256: sha256(whole),
        })
        reader.cut()
      }
    }
  }, 60_000)

  test('a client that changes the node with every chunk has each of them once', async () => {
    await using it = twoNodes(redis.url)
    const call = await ask(it, 's')
    const { messageId } = call.request
    const reader = await reading(it, { url: it.two, sessionId: 's', transport })
    for (let round = 0; round < 20; round += 1) {
      reader.connect(round % 2 === 0 ? it.one : it.two)
      call.say(`${round} `)
      await reader.until((all) => all.text(messageId).endsWith(`${round} `), `chunk ${round}`)
    }
    call.end()
    await reader.done(messageId)
    const text = Array.from({ length: 20 }, (_, round) => `${round} `).join('')
    expect(reader.text(messageId)).toBe(text)
    expect(await reader.link?.frame('done')).toMatchObject({ chunks: 20, sha256: sha256(text) })
    reader.cut()
  })

  test('joined on the other node at every chunk without a cursor, an answer is whole', async () => {
    await using it = twoNodes(redis.url)
    const call = await ask(it, 's')
    const { messageId } = call.request
    const readers: Reader[] = []
    for (const text of ['', ...deltas]) {
      if (text !== '') await said(it, call, text)
      const reader = await reading(it, { url: it.two, sessionId: 's', transport })
      expect(reader.text(messageId)).toBe(deltas.slice(0, readers.length).join(''))
      readers.push(reader)
    }
    call.end()
    for (const reader of readers) {
      await reader.done(messageId)
      expect(reader.text(messageId)).toBe(whole)
      reader.cut()
    }
  })
})

test('two tabs on two nodes see the same frames, statuses included, in the same order', async () => {
  await using it = twoNodes(redis.url)
  const tabs = [
    ...[it.one, it.two].map((url) => new WsClient(url, { sessionId: 's' })),
    ...[it.one, it.two].map((url) => new SseClient(url, { sessionId: 's' })),
  ]
  for (const tab of tabs) await tab.live()
  const call = await ask(it, 's')
  call.sink.status?.('thinking')
  call.think('hm, ')
  for (const tab of tabs) await tab.frame('chunk')
  for (const [at, text] of deltas.entries()) {
    call.say(text)
    for (const tab of tabs) await tab.frame('chunk', at + 1)
  }
  call.end()
  for (const tab of tabs) await tab.frame('done')
  const [first, ...others] = tabs.map((tab) => {
    const from = tab.types().indexOf('live') + 1
    return tab.frames.slice(from).map(({ id, ...frame }) => frame)
  })
  expect(first?.map((frame) => frame['status'] ?? frame.type)).toEqual([
    ...['started', 'thinking', 'streaming', 'chunk'],
    ...deltas.map(() => 'chunk'),
    'done',
  ])
  for (const other of others) expect(other).toEqual(first ?? [])
})

test('a snapshot of the other node has the status and all that was said', async () => {
  await using it = twoNodes(redis.url)
  const call = await ask(it, 's')
  const { messageId } = call.request
  const snapshot = async () => {
    const tab = new WsClient(it.two, { sessionId: 's' })
    await tab.live()
    const status = tab.all('status')[0]?.status
    const text = tab.all('chunk').map((frame) => frame.text)
    const { active } = await tab.frame('history')
    tab.cut()
    return { status, text: text.join(''), active: active?.messageId }
  }
  expect(await snapshot()).toEqual({ status: 'queued', text: '', active: messageId })
  call.sink.status?.('thinking')
  await until(async () => (await snapshot()).status === 'thinking')
  await said(it, call, ...deltas.slice(0, 4))
  expect(await snapshot()).toEqual({
    status: 'streaming',
    text: deltas.slice(0, 4).join(''),
    active: messageId,
  })
  const { body } = await it.call('GET', `/api/messages/${messageId}`, { url: it.two })
  expect(body).toMatchObject({
    status: 'streaming',
    text: deltas.slice(0, 4).join(''),
    chunks: 4,
  })
  const stream = new SseClient(it.two, { path: `api/messages/${messageId}/stream` })
  await stream.frame('chunk')
  await said(it, call, ...deltas.slice(4))
  call.end()
  await stream.over()
  expect(
    stream
      .all('chunk')
      .map((frame) => frame.text)
      .join(''),
  ).toBe(whole)
  expect(stream.frames.at(-1)).toMatchObject({ type: 'done', sha256: sha256(whole) })
})

test('history and the whole message are on the other node as soon as anyone has seen the end', async () => {
  await using it = twoNodes(redis.url)
  const tab = new WsClient(it.one, { sessionId: 's' })
  await tab.live()
  for (let turn = 0; turn < 20; turn += 1) {
    const call = await ask(it, 's')
    const { messageId } = call.request
    call.say(`answer ${turn}`)
    call.end()
    await tab.frame('done', turn)
    const [history, message] = await Promise.all([
      it.call('GET', '/api/history/s', { url: it.two }),
      it.call('GET', `/api/messages/${messageId}`, { url: it.two }),
    ])
    expect(history.body.messages.at(-1)).toMatchObject({
      messageId,
      content: `answer ${turn}`,
      outcome: 'completed',
    })
    expect(message.body).toMatchObject({ status: 'finished', text: `answer ${turn}` })
  }
})

test('what is erased on one node is gone on the other, and a running answer is cancelled first', async () => {
  await using it = twoNodes(redis.url)
  const tabs = [it.one, it.two].map((url) => new WsClient(url, { sessionId: 's' }))
  for (const tab of tabs) await tab.live()
  const call = await ask(it, 's')
  await said(it, call, 'words')
  const erased = await it.call('DELETE', '/api/history/s', { url: it.two })
  expect(erased.status).toBe(202)
  for (const tab of tabs) {
    const { seq } = await tab.frame('erased')
    expect(erased.body.cursor).toEndWith(`-${seq}`)
    expect(tab.types().slice(-2)).toEqual(['done', 'erased'])
    expect(tab.all('done')[0]?.outcome).toBe('cancelled')
  }
  expect(call.signal.aborted).toBe(true)
  for (const url of [it.one, it.two]) {
    expect((await it.call('GET', '/api/history/s', { url })).body.messages).toEqual([])
    const { status } = await it.call('GET', `/api/messages/${call.request.messageId}`, { url })
    expect(status).toBe(410)
  }
})

test('a session that only Postgres knows comes back once, whichever nodes it is asked for at once', async () => {
  await using it = twoNodes(redis.url)
  for (let turn = 0; turn < 10; turn += 1) {
    const sessionId = `cold-${turn}`
    const messageId = uuidv7(Date.now())
    it.archive.add({
      ...{ sessionId, tenantId: 'default', userId: 'demo_user', hasOlder: false },
      last: { epoch: 7, seq: 3 },
      messages: [
        {
          ...{ messageId, conversationId: sessionId, role: 'user', content: 'long ago' },
          ...{ outcome: 'completed', createdAt: new Date().toISOString() },
        },
      ],
    })
    const tabs = [it.one, it.two, it.two, it.one].map((url) => new WsClient(url, { sessionId }))
    const cursors = await Promise.all(tabs.map(async (tab) => (await tab.live()).cursor))
    expect(new Set(cursors).size).toBe(1)
    for (const tab of tabs) {
      expect(tab.all('history')[0]?.messages.map(({ content }) => content)).toEqual(['long ago'])
    }
    const call = await ask(it, sessionId, it.two)
    expect(call.request.messages.map(({ content }) => content)).toEqual(['long ago', 'why?'])
    call.say('because')
    call.end()
    for (const tab of tabs) {
      await tab.frame('done')
      expect(tab.all('welcome').length).toBe(1)
      tab.cut()
    }
  }
})

test('a node that drains sends its readers to the other, and ends what it has begun', async () => {
  await using it = twoNodes(redis.url)
  const call = await ask(it, 's')
  const { messageId } = call.request
  const reader = await reading(it, { url: it.one, sessionId: 's', transport: 'websocket' })
  await said(it, call, ...deltas.slice(0, 3))
  const draining = it.nodes[0]?.drain()
  const left = reader.link
  if (!(left instanceof WsClient)) throw new Error('not a WebSocket')
  expect(await left.close()).toBe(1012)
  reader.connect(it.two)
  await said(it, call, ...deltas.slice(3))
  expect((await it.call('GET', '/health/ready', { url: it.one })).status).toBe(503)
  expect((await it.call('POST', '/api/chat', { url: it.one, body: { message: 'x' } })).status).toBe(
    503,
  )
  call.end()
  await draining
  await reader.done(messageId)
  expect(reader.text(messageId)).toBe(whole)
  expect(reader.link?.all('done')[0]).toMatchObject({ outcome: 'completed', sha256: sha256(whole) })
  expect(reader.link?.all('welcome')[0]).toMatchObject({ start: 'resumed' })
})
