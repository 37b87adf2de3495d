import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { testGateway } from '../support/gateway.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { until } from '../support/until.ts'
import { WsClient, type WsOptions } from '../support/ws-client.ts'

const secret = 'a secret that is 32 bytes long, or more'
const jwtEnv = { AUTH: 'jwt', JWT_SECRET: secret }

function jwt(sub: string, expiresInS = 600, key = secret): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(sub)
    .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInS)
    .sign(new TextEncoder().encode(key))
}

/** The door says why in one frame, closes with the code, and says nothing else. */
async function refused(url: string, options: WsOptions) {
  const client = new WsClient(url, options)
  const code = await client.close()
  expect(client.types()).toEqual(['error'])
  return { code, error: await client.frame('error') }
}

describe('what is answered by plain HTTP', () => {
  const upgrade = { connection: 'Upgrade', upgrade: 'websocket' }

  test('a foreign Origin gets 403', async () => {
    await using gateway = testGateway()
    await using raw = await RawSocket.webSocket(gateway.url, '/ws/chat?sessionId=s', {
      origin: 'https://elsewhere.example',
    })
    await until(() => raw.text.includes('\r\n\r\n'))
    expect(raw.text).toStartWith('HTTP/1.1 403')
    expect(raw.text).toContain('"forbidden"')
  })

  test('a request that is no upgrade gets 426', async () => {
    await using gateway = testGateway()
    const answer = await gateway.call('GET', '/ws/chat?sessionId=s')
    expect(answer.status).toBe(426)
    expect(answer.headers.get('upgrade')).toBe('websocket')
  })

  test('a draining node gets 503, with Retry-After', async () => {
    await using gateway = testGateway()
    await gateway.gateway.drain()
    const answer = await gateway.call('GET', '/ws/chat?sessionId=s', { headers: upgrade })
    expect(answer.status).toBe(503)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(answer.body.error).toMatchObject({ code: 'unavailable', temporary: true })
  })
})

describe('a token', () => {
  test('is taken from Authorization, from the sub-protocols and from the cookie', async () => {
    await using gateway = testGateway({ env: jwtEnv })
    const token = await jwt('ann')
    const ways: WsOptions[] = [
      { token },
      { protocols: ['sluice.v1', `bearer.${token}`] },
      { headers: { cookie: `other=1; sluice=${token}` } },
    ]
    for (const way of ways) {
      const client = new WsClient(gateway.url, { sessionId: 's', ...way })
      await client.live()
      expect(client.all('welcome')[0]?.userId).toBe('ann')
    }
  })

  test('in sub-protocols is answered with sluice.v1 alone', async () => {
    await using gateway = testGateway({ env: jwtEnv })
    const protocols = ['sluice.v1', `bearer.${await jwt('ann')}`]
    const client = new WsClient(gateway.url, { sessionId: 's', protocols })
    await client.live()
    expect(client.socket.protocol).toBe('sluice.v1')
  })

  test.each(['token', 'access_token', 'jwt'])('in the query as %s is refused', async (name) => {
    await using gateway = testGateway({ env: jwtEnv })
    const token = await jwt('ann')
    const { code, error } = await refused(gateway.url, {
      sessionId: 's',
      token,
      query: { [name]: token },
    })
    expect(code).toBe(4500)
    expect(error).toMatchObject({ code: 'invalid_request', field: name })
  })

  test('that is missing, forged or expired closes with 4501', async () => {
    await using gateway = testGateway({ env: jwtEnv })
    const forged = await jwt('ann', 600, 'another secret that is 32 bytes long')
    for (const token of [undefined, 'nonsense', forged, await jwt('ann', -31)]) {
      const { code, error } = await refused(gateway.url, {
        sessionId: 's',
        ...(token !== undefined && { token }),
      })
      expect(code).toBe(4501)
      expect(error.code).toBe('not_authenticated')
    }
  })
})

test('somebody else’s session closes with 4503 and says no word of it', async () => {
  await using gateway = testGateway({ env: jwtEnv })
  const ann = new WsClient(gateway.url, { sessionId: 'hers', token: await jwt('ann') })
  await ann.live()
  const { code, error } = await refused(gateway.url, { sessionId: 'hers', token: await jwt('bob') })
  expect(code).toBe(4503)
  expect(error).toMatchObject({ code: 'forbidden', temporary: false })
  expect(JSON.stringify(error)).not.toContain('ann')
})

test('a query that names another user than the token closes with 4503', async () => {
  await using gateway = testGateway({ env: jwtEnv })
  const { code } = await refused(gateway.url, {
    sessionId: 's',
    token: await jwt('ann'),
    query: { userId: 'bob' },
  })
  expect(code).toBe(4503)
})

test.each(['', 'a b', 'x'.repeat(129), 'sl/ash', 'ü'])(
  'the sessionId %j closes with 4500 and names the field',
  async (sessionId) => {
    await using gateway = testGateway()
    const { code, error } = await refused(gateway.url, { sessionId })
    expect(code).toBe(4500)
    expect(error).toMatchObject({ code: 'invalid_request', field: 'sessionId' })
  },
)

test.each(['', 'x', '1', '1-', '-1', '1-2-3', '1-x', '99999999999999999-1'])(
  'the cursor %j closes with 4500 and names the field',
  async (cursor) => {
    await using gateway = testGateway()
    const { code, error } = await refused(gateway.url, { sessionId: 's', cursor })
    expect(code).toBe(4500)
    expect(error).toMatchObject({ code: 'invalid_request', field: 'cursor' })
  },
)

test('sub-protocols without sluice.v1 close with 4511, in a handshake that a browser accepts', async () => {
  await using gateway = testGateway()
  const client = new WsClient(gateway.url, { sessionId: 's', protocols: ['graphql-ws', 'other'] })
  expect(await client.close()).toBe(4511)
  expect(client.types()).toEqual(['error'])
  expect(client.socket.protocol).toBe('graphql-ws')
})

test('one connection too many is the newest, closed with 4029', async () => {
  await using gateway = testGateway({ env: { MAX_CONNECTIONS_PER_USER: '2' } })
  const first = new WsClient(gateway.url, { sessionId: 'a' })
  const second = new WsClient(gateway.url, { sessionId: 'b' })
  await first.live()
  await second.live()
  const { code, error } = await refused(gateway.url, { sessionId: 'c' })
  expect(code).toBe(4029)
  expect(error).toMatchObject({ code: 'rate_limited', temporary: true })
  first.cut()
  await until(async () => {
    const again = new WsClient(gateway.url, { sessionId: 'c' })
    await until(() => again.types().includes('live') || again.closed)
    return again.types().includes('live')
  })
  expect(second.closed).toBeNull()
})

test('without a sessionId the server makes one', async () => {
  await using gateway = testGateway()
  const client = new WsClient(gateway.url)
  await client.live()
  expect(client.all('welcome')[0]?.sessionId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
})

test('a session without steps is fresh, empty, and live at 0 of its epoch', async () => {
  await using gateway = testGateway({ env: { HEARTBEAT_MS: '7000', NODE_ID: 'n1' } })
  const client = new WsClient(gateway.url, { sessionId: 's', query: { userId: 'ann' } })
  const live = await client.live()
  expect(live.cursor).toMatch(/^[1-9]\d*-0$/)
  expect(client.frames).toEqual([
    {
      type: 'welcome',
      sessionId: 's',
      userId: 'ann',
      nodeId: 'n1',
      protocol: 1,
      heartbeatMs: 7_000,
      start: 'fresh',
    },
    { type: 'history', messages: [], active: null },
    live,
  ])
})
