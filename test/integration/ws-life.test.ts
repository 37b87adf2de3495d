import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { testGateway } from '../support/gateway.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { SseClient } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

describe('heartbeat', () => {
  test('a ping comes each heartbeatMs, and a socket that says anything stays', async () => {
    await using gateway = testGateway({ env: { HEARTBEAT_MS: '100' }, timing: { pongMs: 60_000 } })
    const client = new WsClient(gateway.url, { sessionId: 's' })
    await client.live()
    const startMs = performance.now()
    for (let nth = 0; nth < 5; nth += 1) {
      await client.frame('ping', nth)
      client.send({ type: nth % 2 === 0 ? 'pong' : 'ping' })
    }
    expect(performance.now() - startMs).toBeGreaterThan(300)
    expect(client.closed).toBeNull()
  })

  test('a socket that is silent after a ping is closed with 4010', async () => {
    await using gateway = testGateway({ env: { HEARTBEAT_MS: '100' }, timing: { pongMs: 200 } })
    const client = new WsClient(gateway.url, { sessionId: 's' })
    expect(await client.close()).toBe(4010)
    expect(client.all('ping').length).toBe(1)
  })

  test('a socket to which tokens flow is closed too when it says nothing', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({
      model,
      env: { HEARTBEAT_MS: '100' },
      timing: { pongMs: 300 },
    })
    const client = new WsClient(gateway.url, { sessionId: 's' })
    await client.live()
    const { messageId } = await client.ask('hello')
    const call = await model.call(messageId)
    await until(() => {
      call.say('word ')
      return client.closed !== null
    })
    expect(client.closed?.code).toBe(4010)
    call.end()
  })
})

describe('a token', () => {
  const secret = 'a secret that is 32 bytes long, or more'
  const env = { AUTH: 'jwt', JWT_SECRET: secret }
  const jwt = (sub: string, expMs: number) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(sub)
      .setExpirationTime(Math.floor(expMs / 1_000))
      .sign(new TextEncoder().encode(secret))

  test('that would be refused by now closes its sockets with 4001, and ends its streams', async () => {
    let passedMs = 0
    const now = () => Date.now() + passedMs
    await using gateway = testGateway({ env, now, timing: { commentMs: 200 } })
    const token = await jwt('ann', now() + 60_000)
    const client = new WsClient(gateway.url, { sessionId: 's', token })
    const headers = { authorization: `Bearer ${token}` }
    const sse = new SseClient(gateway.url, { sessionId: 's', headers })
    await client.live()
    await sse.live()
    // Leeway: 30 s.
    passedMs = 80_000
    client.send({ type: 'ping' })
    await client.frame('pong')
    await until(() => sse.comments >= 2)
    expect(client.closed).toBeNull()
    passedMs = 91_000
    expect(await client.close()).toBe(4001)
    await sse.over()
  })

  test('that was refreshed in time keeps the socket open', async () => {
    let passedMs = 0
    const now = () => Date.now() + passedMs
    await using gateway = testGateway({ env: { ...env, HEARTBEAT_MS: '100' }, now })
    const token = await jwt('ann', now() + 60_000)
    const client = new WsClient(gateway.url, { sessionId: 's', token })
    await client.live()
    client.send({ type: 'auth', token: await jwt('ann', now() + 600_000) })
    await client.frame('authenticated')
    passedMs = 100_000
    await client.frame('ping', client.all('ping').length)
    client.send({ type: 'pong' })
    await client.ask('hello')
    expect(client.closed).toBeNull()
  })
})

test('a drain sends all away with 1012, spread over its time, and lets nobody in', async () => {
  const model = new ScriptedModel()
  const drainMs = 400
  await using gateway = testGateway({
    model,
    env: { MAX_CONNECTIONS_PER_USER: '0', DRAIN_TIMEOUT_MS: '300' },
    timing: { drainMs },
  })
  const clients = Array.from({ length: 20 }, () => new WsClient(gateway.url, { sessionId: 's' }))
  for (const client of clients) await client.live()
  const { messageId } = await (clients[0] as WsClient).ask('hello')
  await model.call(messageId)
  const startMs = performance.now()
  const endsMs: number[] = []
  for (const client of clients) {
    client.socket.addEventListener('close', () => endsMs.push(performance.now() - startMs))
  }
  const drained = gateway.gateway.drain()
  const late = await fetch(`${gateway.url}/ws/chat?sessionId=s`, {
    headers: { connection: 'Upgrade', upgrade: 'websocket' },
  })
  expect(late.status).toBe(503)
  for (const client of clients) expect(await client.close()).toBe(1012)
  await drained
  expect(Math.max(...endsMs)).toBeGreaterThan(drainMs / 2)
  const inFirstHalf = endsMs.filter((ms) => ms < drainMs / 2).length
  expect(inFirstHalf).toBeGreaterThan(2)
  expect(inFirstHalf).toBeLessThan(18)
})

test('a drain tells SSE streams in the stream, with a jittered retry', async () => {
  await using gateway = testGateway({ timing: { drainMs: 50 } })
  const clients = Array.from({ length: 5 }, () => new SseClient(gateway.url, { sessionId: 's' }))
  for (const client of clients) await client.live()
  await gateway.gateway.drain()
  for (const client of clients) {
    await client.over()
    expect(client.frames.at(-1)).toMatchObject({ type: 'error', code: 'unavailable' })
    expect(client.retries.length).toBe(2)
  }
  expect(new Set(clients.map((client) => client.retries[1])).size).toBeGreaterThan(1)
  const late = new SseClient(gateway.url, { sessionId: 's' })
  await late.over()
  expect(late.status).toBe(200)
  expect(late.types()).toEqual(['error'])
  expect(late.retries.at(-1)).toBeGreaterThanOrEqual(1_000)
})

test('a client that vanishes without a word frees its place', async () => {
  await using gateway = testGateway({ env: { MAX_CONNECTIONS_PER_USER: '1' } })
  for (let turn = 0; turn < 3; turn += 1) {
    await until(async () => {
      await using raw = await RawSocket.webSocket(gateway.url, '/ws/chat?sessionId=s')
      await until(() => /"live"|"error"/.test(raw.text))
      raw.socket.resetAndDestroy()
      return raw.text.includes('"live"')
    })
  }
})
