import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { errorStatus } from '#gateway/chat/errors.ts'
import { migratedDatabase, type TestGateway, testGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { Watcher } from '../support/watcher.ts'

// Another user's words, which no answer to anybody else may ever hold.
const secret = 'the owl flies at midnight'
const closeCodes = new Set([1000, 1012, 4001, 4008, 4010, 4029, 4500, 4501, 4503, 4509, 4511])
const frameTypes = new Set([
  ...['welcome', 'history', 'live', 'accepted', 'started', 'status', 'chunk', 'done'],
  ...['erased', 'cancelled', 'ping', 'pong', 'authenticated', 'error'],
])

let database: Awaited<ReturnType<typeof migratedDatabase>>
let gateway: TestGateway
let mallory: string
let aliceMessage: string

beforeAll(async () => {
  database = await migratedDatabase()
  gateway = testGateway({
    database,
    env: {
      RATE_CHATS_PER_MINUTE: '0',
      RATE_REQUESTS_PER_MINUTE: '0',
      MAX_GENERATIONS_PER_USER: '0',
      MAX_CONNECTIONS_PER_USER: '0',
    },
  })
  const alice = await gateway.token('alice')
  mallory = await gateway.token('mallory')
  const body = { sessionId: 'alice-session', message: secret }
  const asked = await gateway.call('POST', '/api/chat', { as: alice, body })
  aliceMessage = asked.body.messageId
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const id = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 140 }),
  fc.constantFrom('alice-session', '..', '%00', '', 'a'.repeat(128), 'a'.repeat(129), '__proto__'),
  fc.stringMatching(/^[A-Za-z0-9_.:-]{1,128}$/),
  fc.uuid(),
)
const cursor = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('0-0', '-1', '1-', '-', '9'.repeat(400), '1e3-1', '1-1-1', 'NaN-NaN'),
  fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()).map(([epoch, seq]) => `${epoch}-${seq}`),
)
const field = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), id)
const body = fc.oneof(
  fc.record(
    {
      sessionId: field,
      message: field,
      messageId: fc.oneof(field, fc.constant('')),
      userId: field,
      options: field,
      metadata: field,
      regenerate: field,
      title: field,
    },
    { requiredKeys: [] },
  ),
  fc.jsonValue(),
  fc.string({ unit: 'binary' }),
)
const path = fc.oneof(
  fc.constantFrom('/api/chat', '/api/cancel', '/api/login', '/api/logout', '/api/dev/token'),
  fc.constantFrom('/api/sessions', '/api/audit', '/api/audit/stats', '/api/search'),
  fc.constantFrom('/api/analytics/summary', '/api/analytics/series', '/health', '/', '/nothing'),
  id.map((text) => `/api/history/${encodeURIComponent(text.toWellFormed())}`),
  id.map((text) => `/api/sessions/${encodeURIComponent(text.toWellFormed())}`),
  id.map((text) => `/api/messages/${encodeURIComponent(text.toWellFormed())}`),
  fc.constant(null),
)
const query = fc.dictionary(
  fc.constantFrom('limit', 'before', 'q', 'from', 'to', 'cursor', 'sessionId', 'metric', 'step'),
  fc.oneof(fc.string({ unit: 'binary', maxLength: 60 }), cursor, id),
)

test('whatever is sent to the REST API, the answer is one of the contract and holds no word of another user', async () => {
  const method = fc.constantFrom('GET', 'POST', 'PATCH', 'DELETE', 'PUT')
  await fc.assert(
    fc.asyncProperty(method, path, query, body, async (verb, where, asked, sent) => {
      const params = new URLSearchParams(
        Object.entries(asked).map(([name, value]) => [name, value.toWellFormed()]),
      )
      const target = `${where ?? `/api/messages/${aliceMessage}`}?${params}`
      const answer = await gateway.call(verb, target, {
        as: mallory,
        ...(verb !== 'GET' && { body: typeof sent === 'string' ? sent : JSON.stringify(sent) }),
      })
      expect(answer.text).not.toContain(secret)
      if (answer.status < 400) return
      if (verb === 'GET' && where === '/health') return
      expect(answer.body.error.code in errorStatus || answer.status === 405).toBe(true)
      expect(answer.status).toBeLessThan(504)
      expect(answer.status).not.toBe(500)
      expect(answer.body.error.message).toBeString()
      if (answer.status === 503 || answer.status === 429) {
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      }
    }),
    { numRuns: 400 },
  )
}, 60_000)

test('whatever is said on a WebSocket, the answer is a frame or a close code of the contract', async () => {
  const frame = fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .record(
          {
            type: fc.constantFrom('chat', 'cancel', 'auth', 'ping', 'pong', 'nonsense'),
            content: field,
            messageId: field,
            requestId: field,
            token: field,
            options: field,
            metadata: field,
            regenerate: field,
          },
          { requiredKeys: ['type'] },
        )
        .map((value) => JSON.stringify(value)),
    },
    { weight: 1, arbitrary: fc.jsonValue().map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()) },
  )
  await fc.assert(
    fc.asyncProperty(
      id,
      fc.option(cursor),
      fc.array(frame, { maxLength: 6 }),
      async (session, from, frames) => {
        const seen = await conversation(
          session.toWellFormed(),
          from?.toWellFormed() ?? null,
          frames,
        )
        expect(seen.text).not.toContain(secret)
        expect(seen.types.filter((type) => !frameTypes.has(type))).toEqual([])
        expect(seen.code === null || closeCodes.has(seen.code)).toBe(true)
      },
    ),
    { numRuns: 150 },
  )
}, 60_000)

test('no token that we have not made lets anybody in', async () => {
  const part = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
    fc.constantFrom('', mallory.split('.')[0] ?? '', mallory.split('.')[1] ?? ''),
    fc
      .constantFrom('none', 'HS256', 'HS512', 'RS256')
      .map((alg) => Buffer.from(JSON.stringify({ alg })).toString('base64url')),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 4 }), async (parts) => {
      const token = parts.join('.').replaceAll(/[^\x21-\x7e]/g, '') || 'x'
      fc.pre(token !== mallory)
      const answer = await gateway.call('GET', '/api/sessions', { as: token })
      expect([token, answer.status]).toEqual([token, 401])
    }),
    { numRuns: 200 },
  )
}, 60_000)

test('after all of that the gateway still works', async () => {
  const watcher = new Watcher('still-there')
  await watcher.connect(gateway.url)
  await until(() => watcher.isLive)
  watcher.send({ type: 'chat', content: '/echo hello', requestId: 'r' })
  await until(() => watcher.accepted.has('r') && watcher.isDone)
  expect(watcher.misfits).toEqual([])
  await watcher.close()
})

/** Says all of it on one connection, then waits for a pong, which comes behind everything that the server had to say. */
function conversation(sessionId: string, from: string | null, frames: string[]) {
  const params = new URLSearchParams({ sessionId, ...(from !== null && { cursor: from }) })
  const url = `${gateway.url.replace(/^http/, 'ws')}/ws/chat?${params}`
  return new Promise<{ text: string; types: string[]; code: number | null }>((resolve, reject) => {
    const socket = new WebSocket(url, ['sluice.v1', `bearer.${mallory}`])
    const seen = { text: '', types: [] as string[], code: null as number | null }
    const late = setTimeout(
      () => reject(new Error(`no end after ${JSON.stringify(frames)}`)),
      10_000,
    )
    const finish = () => {
      clearTimeout(late)
      socket.close()
      resolve(seen)
    }
    socket.addEventListener('open', () => {
      for (const frame of frames) socket.send(frame)
      socket.send('{"type":"ping"}')
    })
    socket.addEventListener('message', ({ data }) => {
      const text = String(data)
      seen.text += text
      const { type } = JSON.parse(text) as { type: string }
      seen.types.push(type)
      if (type === 'pong') finish()
    })
    socket.addEventListener('close', ({ code }) => {
      seen.code = code
      finish()
    })
  })
}
