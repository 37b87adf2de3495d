import { expect, test } from 'bun:test'
import { testGateway } from '../support/gateway.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { SseClient } from '../support/sse-client.ts'
import { until } from '../support/until.ts'

const jwtEnv = { AUTH: 'jwt', JWT_SECRET: 'a secret that is 32 bytes long, or more' }

async function post(url: string, sessionId: string, message = 'hello'): Promise<string> {
  const response = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sessionId, message }),
  })
  return ((await response.json()) as { messageId: string }).messageId
}

test('the stream begins at once, with the headers that keep proxies from holding it', async () => {
  await using gateway = testGateway()
  const client = new SseClient(gateway.url, { sessionId: 's' })
  await client.live()
  expect(client.status).toBe(200)
  expect(client.headers.get('content-type')).toStartWith('text/event-stream')
  expect(client.headers.get('cache-control')).toBe('no-cache, no-transform')
  expect(client.headers.get('x-accel-buffering')).toBe('no')
  expect(client.text).toStartWith('retry: 1000\n\n')
  expect(client.types()).toEqual(['welcome', 'history', 'live'])
})

/** All that came, but for the name of the node. */
const nameless = (client: SseClient | undefined) => client?.text.replace(/"nodeId":"[^"]+"/, '')

test('many streams of one session all get the same bytes', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const clients = Array.from({ length: 10 }, () => new SseClient(gateway.url, { sessionId: 's' }))
  for (const client of clients) await client.live()
  const call = await model.call(await post(gateway.url, 's'))
  for (const text of ['one ', 'two 🌊 ', 'three']) {
    call.say(text)
    await clients[0]?.frame('chunk')
  }
  call.end()
  for (const client of clients) {
    await client.frame('done')
    const text = client.all('chunk').map((frame) => frame.text)
    expect(text.join('')).toBe('one two 🌊 three')
    expect(nameless(client)).toBe(nameless(clients[0]))
  }
})

test('numbered frames and live have an id, the frames of a snapshot have none', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const early = new SseClient(gateway.url, { sessionId: 's' })
  const { cursor, id } = await early.live()
  const epoch = cursor.split('-')[0]
  expect(id).toBe(`${epoch}-0`)
  const messageId = await post(gateway.url, 's')
  const call = await model.call(messageId)
  call.say('words')
  await early.frame('chunk')
  const late = new SseClient(gateway.url, { sessionId: 's' })
  expect((await late.live()).id).toBe(`${epoch}-2`)
  const snapshot = late.frames.slice(0, -1)
  expect(snapshot.map((frame) => frame.id)).toEqual([null, null, null, null])
  call.end()
  await early.frame('done')
  const ids = early.frames.filter((frame) => frame['seq'] !== undefined).map((frame) => frame.id)
  expect(ids).toEqual([`${epoch}-1`, `${epoch}-2`, `${epoch}-3`])
  expect(early.all('status').every((frame) => frame.id === null)).toBe(true)
})

test('Last-Event-ID resumes and wins over the cursor in the query', async () => {
  await using gateway = testGateway()
  const first = new SseClient(gateway.url, { sessionId: 's' })
  await first.live()
  await post(gateway.url, 's')
  const { id, seq } = await first.frame('done')
  const epoch = id?.split('-')[0]
  const resumed = new SseClient(gateway.url, {
    sessionId: 's',
    lastEventId: `${epoch}-${seq - 1}`,
    cursor: `${epoch}-1`,
  })
  await resumed.live()
  expect(resumed.types()).toEqual(['welcome', 'done', 'live'])
  expect(resumed.all('welcome')[0]).toMatchObject({ start: 'resumed' })
  const byQuery = new SseClient(gateway.url, { sessionId: 's', cursor: id ?? '' })
  await byQuery.live()
  expect(byQuery.types()).toEqual(['welcome', 'live'])
})

test.each(['nonsense', '1', '7-x', '99999999999999999-1', '1-1'])(
  'the cursor %j is never a 4xx: it gets a snapshot',
  async (cursor) => {
    await using gateway = testGateway()
    for (const options of [{ lastEventId: cursor }, { cursor }]) {
      const client = new SseClient(gateway.url, { sessionId: 's', ...options })
      await client.live()
      expect(client.status).toBe(200)
      expect(client.all('welcome')[0]).toMatchObject({ start: 'snapshot', reason: 'epoch' })
    }
  },
)

test('a comment comes again and again, also before the first token', async () => {
  await using gateway = testGateway({ timing: { commentMs: 60 } })
  const client = new SseClient(gateway.url, { sessionId: 's' })
  await until(() => client.comments >= 3)
  expect(client.text).toContain('\n: ping\n\n')
  expect(client.types()).toEqual(['welcome', 'history', 'live'])
})

test('what shall stop an EventSource is plain HTTP: 400, 401, 403', async () => {
  await using gateway = testGateway({ env: { ...jwtEnv, AUTH: 'development' } })
  const status = async (path: string, headers: Record<string, string> = {}) => {
    const { body, ...answer } = await gateway.call('GET', path, { headers })
    return [answer.status, body.error.code, body.error.field]
  }
  const ann = { authorization: `Bearer ${await gateway.token('ann')}` }
  const bob = { authorization: `Bearer ${await gateway.token('bob')}` }
  const hers = new SseClient(gateway.url, { sessionId: 'hers', headers: ann })
  await hers.live()
  expect(await status('/sse/chat?sessionId=a%20b', ann)).toEqual([
    400,
    'invalid_request',
    'sessionId',
  ])
  expect(await status('/sse/chat?sessionId=', ann)).toEqual([400, 'invalid_request', 'sessionId'])
  expect(await status('/sse/chat?sessionId=s&token=x')).toEqual([400, 'invalid_request', 'token'])
  expect(await status('/sse/chat?sessionId=hers', bob)).toEqual([403, 'forbidden', undefined])
  const bad = { authorization: 'Bearer nonsense' }
  expect(await status('/sse/chat?sessionId=s', bad)).toEqual([401, 'not_authenticated', undefined])
  const foreign = { origin: 'https://elsewhere.example' }
  expect(await status('/sse/chat?sessionId=s', foreign)).toEqual([403, 'forbidden', undefined])
})

test('too many connections are told in the stream, which then ends', async () => {
  await using gateway = testGateway({ env: { MAX_CONNECTIONS_PER_USER: '1' } })
  const first = new SseClient(gateway.url, { sessionId: 's' })
  await first.live()
  const second = new SseClient(gateway.url, { sessionId: 's' })
  await second.over()
  expect(second.status).toBe(200)
  expect(second.types()).toEqual(['error'])
  expect(second.frames[0]).toMatchObject({ code: 'rate_limited', temporary: true })
  expect(second.retries.at(-1)).toBeGreaterThanOrEqual(1_000)
  first.cut()
  await until(async () => {
    const again = new SseClient(gateway.url, { sessionId: 's' })
    await until(() => again.types().includes('live') || again.isOver)
    return again.types().includes('live')
  })
})

test('a stream that is cut before it was answered frees its place', async () => {
  await using gateway = testGateway({
    env: { MAX_CONNECTIONS_PER_USER: '1' },
    timing: { stallMs: 200 },
    between: (generations) => ({
      ...generations,
      async open(input) {
        await Bun.sleep(30)
        return generations.open(input)
      },
    }),
  })
  const early = new SseClient(gateway.url, { sessionId: 's' })
  await Bun.sleep(10)
  early.cut()
  await until(async () => {
    const again = new SseClient(gateway.url, { sessionId: 's' })
    await until(() => again.types().includes('live') || again.isOver)
    return again.types().includes('live')
  })
})

test('a page of a listed origin may read the stream', async () => {
  const origin = 'https://chat.example.com'
  await using gateway = testGateway({ env: { ALLOWED_ORIGINS: origin } })
  const client = new SseClient(gateway.url, { sessionId: 's', headers: { origin } })
  await client.live()
  expect(client.headers.get('access-control-allow-origin')).toBe(origin)
})

test('other methods than GET open no stream', async () => {
  await using gateway = testGateway()
  expect((await gateway.call('POST', '/sse/chat?sessionId=s', { body: {} })).status).toBe(405)
})
