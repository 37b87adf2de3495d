import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { DatabaseAway } from '#db/errors.ts'
import type { Generations } from '#gateway/generations/generations.ts'
import { type Answer, testGateway } from '../support/gateway.ts'
import { isReal } from '../support/hot-parts.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'

const secret = 'a secret of at least thirty-two bytes'
const jwt = { AUTH: 'jwt', HOST: '127.0.0.1', JWT_SECRET: secret }

function sign(claims: Record<string, unknown> = {}) {
  const exp = Math.floor(Date.now() / 1_000) + 600
  return new SignJWT({ sub: 'ann', exp, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(secret))
}

const errorOf = ({ status, body }: Answer) => ({ status, code: body?.error?.code })
const unauthenticated = { status: 401, code: 'not_authenticated' }
const forbidden = { status: 403, code: 'forbidden' }

const calls: [method: string, path: string, body?: object][] = [
  ['POST', '/api/chat', { message: 'a' }],
  ['POST', '/api/cancel', { messageId: 'x' }],
  ['GET', '/api/messages/x'],
  ['GET', '/api/messages/x/stream'],
  ['GET', '/api/history/s'],
  ['DELETE', '/api/history/s'],
  ['GET', '/api/sessions'],
  ['PATCH', '/api/sessions/s', { title: 'a' }],
  ['GET', '/api/search?q=a'],
  ['GET', '/api/audit'],
  ['GET', '/api/audit/stats'],
  ['GET', '/api/analytics/summary'],
  ['GET', '/api/analytics/series?metric=m'],
  ['GET', '/api/replay/sessions/s'],
  ['POST', '/api/login'],
  ['GET', '/sse/chat?sessionId=s'],
]

describe('with tokens', () => {
  test('every call wants one that is good', async () => {
    await using gateway = testGateway({ env: jwt })
    for (const [method, path, body] of calls) {
      for (const headers of [{}, { authorization: 'Bearer x' }, { authorization: 'Basic YTpi' }]) {
        const answer = await gateway.call(method, path, { headers, ...(body && { body }) })
        expect({ path, ...errorOf(answer) }).toEqual({ path, ...unauthenticated })
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      }
    }
  })

  test('what an auditor reads, nobody else does', async () => {
    await using gateway = testGateway({
      env: jwt,
      forwardReplay: async (_request, who) => Response.json({ for: who.userId }),
    })
    const [user, auditor, admin] = await Promise.all(
      [[], ['auditor'], ['admin']].map((roles) => sign({ roles })),
    )
    for (const path of [
      '/api/audit',
      '/api/audit/stats',
      '/api/analytics/summary',
      '/api/analytics/series?metric=m',
      '/api/replay/sessions/s',
    ]) {
      expect(errorOf(await gateway.call('GET', path, { as: user ?? '' }))).toEqual(forbidden)
      for (const as of [auditor ?? '', admin ?? '']) {
        expect((await gateway.call('GET', path, { as })).status).not.toBe(403)
      }
    }
    const replayed = await gateway.call('GET', '/api/replay/x?userId=bob', { as: auditor ?? '' })
    expect(replayed.body).toEqual({ for: 'ann' })
  })

  test('a user that a body or a query names must be the one of the token', async () => {
    await using gateway = testGateway({ env: jwt })
    const as = await sign()
    const ask = (body: object) => gateway.call('POST', '/api/chat', { as, body })
    expect(errorOf(await ask({ message: 'a', userId: 'bob' }))).toEqual(forbidden)
    expect(errorOf(await ask({ message: 'a', user_id: 'bob' }))).toEqual(forbidden)
    expect((await ask({ message: 'a', userId: 'ann' })).status).toBe(202)
    const sessions = await gateway.call('GET', '/api/history/s?userId=bob', { as })
    expect(errorOf(sessions)).toEqual(forbidden)
  })

  test('one in the URL is refused', async () => {
    await using gateway = testGateway({ env: jwt })
    const token = await sign()
    for (const name of ['token', 'access_token', 'jwt']) {
      const answer = await gateway.call('GET', `/api/history/s?${name}=${token}`, { as: token })
      expect(answer.body.error).toMatchObject({ code: 'invalid_request', field: name })
    }
  })

  test('development has no door here', async () => {
    await using gateway = testGateway({ env: jwt })
    const answer = await gateway.call('POST', '/api/dev/token', { body: { userId: 'ann' } })
    expect(errorOf(answer)).toEqual({ status: 404, code: 'not_found' })
  })
})

describe('the cookie', () => {
  test('is the bearer of the login, for reading alone', async () => {
    await using gateway = testGateway({ env: jwt })
    const as = await sign()
    const login = await gateway.call('POST', '/api/login', { as })
    expect(login.status).toBe(204)
    const set = login.headers.get('set-cookie') ?? ''
    expect(set).toMatch(/^sluice=[^;]+; Expires=[^;]+ GMT; HttpOnly; SameSite=Strict; Path=\/$/)
    const headers = { cookie: set.split(';')[0] ?? '' }
    expect(errorOf(await gateway.call('GET', '/api/history/s', { headers })).status).toBe(404)
    for (const [method, path] of [
      ['POST', '/api/chat'],
      ['DELETE', '/api/history/s'],
      ['POST', '/api/login'],
    ] as const) {
      const answer = await gateway.call(method, path, { headers, body: { message: 'a' } })
      expect({ path, ...errorOf(answer) }).toEqual({ path, ...unauthenticated })
    }
    const foreign = { ...headers, origin: 'https://evil.example' }
    expect(errorOf(await gateway.call('GET', '/api/history/s', { headers: foreign }))).toEqual(
      forbidden,
    )
  })

  test('is secure wherever it is not on loopback', async () => {
    await using gateway = testGateway({ env: { ...jwt, TRUST_PROXY: 'true' } })
    const as = await sign()
    for (const headers of [
      { 'x-forwarded-host': 'chat.example' },
      { 'x-forwarded-proto': 'https' },
      { host: 'chat.example' },
    ] as Record<string, string>[]) {
      const login = await gateway.call('POST', '/api/login', { as, headers })
      expect(login.headers.get('set-cookie')).toEndWith('; Secure')
    }
  })

  test('is cleared by a logout, with a token or without', async () => {
    await using gateway = testGateway({ env: jwt })
    for (const options of [{}, { as: await sign() }, { as: 'x' }]) {
      const logout = await gateway.call('POST', '/api/logout', options)
      expect(logout.status).toBe(204)
      expect(logout.headers.get('set-cookie')).toStartWith('sluice=; Max-Age=0; HttpOnly')
    }
  })
})

describe('in development', () => {
  test('a token is made for anyone, and holds', async () => {
    await using gateway = testGateway()
    const made = await gateway.call('POST', '/api/dev/token', {
      body: { userId: 'ann', tenantId: 'acme', roles: ['auditor'] },
    })
    expect(made.body).toEqual({
      token: expect.any(String),
      userId: 'ann',
      roles: ['auditor'],
      expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
    })
    const as = made.body.token
    await gateway.call('POST', '/api/chat', { as, body: { sessionId: 's', message: 'a' } })
    expect((await gateway.call('GET', '/api/history/s', { as })).status).toBe(200)
    expect(errorOf(await gateway.call('GET', '/api/history/s'))).toEqual(forbidden)
    const other = await gateway.token('ann')
    expect(errorOf(await gateway.call('GET', '/api/history/s', { as: other }))).toEqual(forbidden)
  })

  test('a token wants a user', async () => {
    await using gateway = testGateway()
    for (const [body, field] of [
      [{}, 'userId'],
      [{ userId: 'a b' }, 'userId'],
      [{ userId: 'ann', roles: 'admin' }, 'roles'],
      [{ userId: 'ann', tenantId: '' }, 'tenantId'],
    ] as const) {
      const { body: refused } = await gateway.call('POST', '/api/dev/token', { body })
      expect(refused.error).toMatchObject({ code: 'invalid_request', field })
    }
  })
})

describe('a page of another origin', () => {
  const listed = 'https://app.example'
  const env = { ALLOWED_ORIGINS: listed }

  test('that is listed is let in, with its cookies', async () => {
    await using gateway = testGateway({ env })
    const asked = { headers: { origin: listed } }
    for (const path of ['/health', '/api/history/s', '/nowhere']) {
      const { headers } = await gateway.call('GET', path, asked)
      expect(headers.get('access-control-allow-origin')).toBe(listed)
      expect(headers.get('access-control-allow-credentials')).toBe('true')
      expect(headers.get('vary')?.toLowerCase()).toContain('origin')
    }
    const preflight = await gateway.call('OPTIONS', '/api/chat', {
      headers: {
        origin: listed,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,idempotency-key',
      },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-methods')).toContain('PATCH')
    expect(preflight.headers.get('access-control-allow-headers')).toBe(
      'authorization,idempotency-key',
    )
    expect(preflight.headers.get('access-control-allow-origin')).toBe(listed)
  })

  test('that is not is turned away before anything else', async () => {
    await using gateway = testGateway({ env })
    for (const origin of ['https://evil.example', 'null', 'http://app.example']) {
      for (const [method, path] of [
        ['GET', '/health'],
        ['GET', '/'],
        ['POST', '/api/chat'],
        ['OPTIONS', '/api/chat'],
        ['GET', '/sse/chat?sessionId=s'],
        ['GET', '/ws/chat?sessionId=s'],
      ] as const) {
        const answer = await gateway.call(method, path, { headers: { origin } })
        expect({ path, ...errorOf(answer) }).toEqual({ path, ...forbidden })
        expect(answer.headers.get('access-control-allow-origin')).toBeNull()
      }
    }
  })

  test('is none when it is our own', async () => {
    await using gateway = testGateway()
    const headers = { origin: gateway.url }
    const { status } = await gateway.call('GET', '/health/live', { headers })
    expect(status).toBe(200)
  })
})

describe('too many', () => {
  const limited = ({ status, body, headers }: Answer) => {
    expect([status, body.error.code, body.error.temporary]).toEqual([429, 'rate_limited', true])
    const seconds = Number(headers.get('retry-after'))
    expect(seconds).toBeGreaterThanOrEqual(1)
    expect(seconds).toBe(Math.ceil(body.error.retryAfterMs / 1_000))
  }
  const ask = (sessionId: string, userId = 'ann') => ({ body: { sessionId, userId, message: 'a' } })

  test('questions a minute are refused, of this user', async () => {
    await using gateway = testGateway({ env: { RATE_CHATS_PER_MINUTE: '2' } })
    await gateway.call('POST', '/api/chat', ask('a'))
    await gateway.call('POST', '/api/chat', ask('b'))
    limited(await gateway.call('POST', '/api/chat', ask('c')))
    expect((await gateway.call('POST', '/api/chat', ask('d', 'bob'))).status).toBe(202)
  })

  test('calls a minute are refused, but for health and whom nobody knows', async () => {
    await using gateway = testGateway({ env: { ...jwt, RATE_REQUESTS_PER_MINUTE: '3' } })
    const as = await sign()
    for (let call = 0; call < 5; call += 1) {
      expect((await gateway.call('GET', '/api/history/s')).status).toBe(401)
    }
    for (let call = 0; call < 3; call += 1) {
      expect((await gateway.call('GET', '/api/history/s', { as })).status).toBe(404)
    }
    limited(await gateway.call('GET', '/api/history/s', { as }))
    expect((await gateway.call('GET', '/health/ready')).status).toBe(200)
  })

  test('answers at a time are refused, until one has ended', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model, env: { MAX_GENERATIONS_PER_USER: '1' } })
    const first = await gateway.call('POST', '/api/chat', ask('a'))
    limited(await gateway.call('POST', '/api/chat', ask('b')))
    ;(await model.call(first.body.messageId)).end()
    await until(async () => (await gateway.call('POST', '/api/chat', ask('b'))).status === 202)
  })
})

describe('what is not here', () => {
  test('is not found', async () => {
    await using gateway = testGateway()
    for (const path of ['/nowhere', '/api', '/api/chat/x', '/api/history', '/ws', '/%2e%2e/etc']) {
      expect(errorOf(await gateway.call('GET', path))).toEqual({ status: 404, code: 'not_found' })
    }
  })

  test('by this method is told which there are', async () => {
    await using gateway = testGateway()
    const wrong = await gateway.call('GET', '/api/chat')
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([404, 'POST'])
    const put = await gateway.call('PUT', '/api/history/s')
    expect([put.status, put.headers.get('allow')]).toEqual([404, 'GET, HEAD, DELETE'])
    expect(put.body.error.code).toBe('not_found')
  })

  test('has no body for HEAD', async () => {
    await using gateway = testGateway()
    const head = await gateway.call('HEAD', '/health/live')
    expect([head.status, head.text]).toEqual([200, ''])
  })
})

describe('health', () => {
  const state = async (health: Promise<Answer>) => {
    const { status, body } = await health
    return [status, body.status]
  }
  const withHealth =
    (health: Generations['health']) =>
    (generations: Generations): Generations => ({ ...generations, health })

  test('says what the node runs on', async () => {
    await using gateway = testGateway({
      dependencies: { consumers: async () => ({ state: 'down', reason: 'behind' }) },
    })
    // A node that has just begun may not have reached its hot state yet.
    const whenUp = async () => {
      const answer = await gateway.call('GET', '/health')
      return answer.status === 200 ? answer : undefined
    }
    const { status, body } = (await until(whenUp, { everyMs: 100 })) as Answer
    expect([status, body]).toEqual([
      200,
      {
        status: 'degraded',
        nodeId: expect.stringMatching(/^test-node/),
        dependencies: {
          [isReal ? 'redis' : 'sqlite']: { state: 'up' },
          postgres: { state: 'down', reason: expect.any(String) },
          model: { state: 'off' },
          consumers: { state: 'down', reason: 'behind' },
        },
      },
    ])
  })

  test('is unready without hot state, with a full outbox, and for a hot state that hangs', async () => {
    const hung = Promise.withResolvers<never>()
    for (const health of [
      async () => ({ state: 'down' as const, reason: 'gone' }),
      async () => ({ state: 'up' as const, full: true }),
      () => Promise.reject(new Error('gone')),
      () => hung.promise,
    ]) {
      await using gateway = testGateway({ between: withHealth(health) })
      expect(await state(gateway.call('GET', '/health/ready'))).toEqual([503, 'unready'])
      expect(await state(gateway.call('GET', '/health/live'))).toEqual([200, 'ready'])
    }
  })

  test('is unready from the first moment of a drain, and new questions are refused', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model, env: { DRAIN_TIMEOUT_MS: '60000' } })
    const body = { sessionId: 's', message: 'a' }
    const asked = await gateway.call('POST', '/api/chat', { body })
    const drained = gateway.gateway.drain()
    expect(await state(gateway.call('GET', '/health/ready'))).toEqual([503, 'unready'])
    const refused = await gateway.call('POST', '/api/chat', { body: { ...body, sessionId: 't' } })
    expect(errorOf(refused)).toEqual({ status: 503, code: 'unavailable' })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    const call = await model.call(asked.body.messageId)
    call.say('to the end')
    call.end()
    await drained
    const { body: message } = await gateway.call('GET', `/api/messages/${asked.body.messageId}`)
    expect(message).toMatchObject({ outcome: 'completed', text: 'to the end' })
  })
})

describe('a failure of ours', () => {
  test('is unavailable, and tells nothing of itself', async () => {
    for (const error of [new DatabaseAway('secret address'), new TypeError('secret bug')]) {
      await using gateway = testGateway({ forwardReplay: () => Promise.reject(error) })
      const answer = await gateway.call('GET', '/api/replay/sessions/s')
      expect(errorOf(answer)).toEqual({ status: 503, code: 'unavailable' })
      expect(answer.text).not.toContain('secret')
      expect(answer.headers.get('retry-after')).toBe('1')
    }
  })

  test('is unavailable as an export too, before any of it was sent', async () => {
    await using gateway = testGateway()
    for (const accept of ['application/x-ndjson', 'text/csv']) {
      const answer = await gateway.call('GET', '/api/audit', { headers: { accept } })
      expect(errorOf(answer)).toEqual({ status: 503, code: 'unavailable' })
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
  })
})
