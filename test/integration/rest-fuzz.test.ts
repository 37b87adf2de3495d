import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Database } from '#db/client.ts'
import { errorStatus } from '#gateway/chat/errors.ts'
import { type Log, quietLog } from '#runtime/log.ts'
import { type Answer, migratedDatabase, type TestGateway, testGateway } from '../support/gateway.ts'
import { ScriptedModel } from '../support/scripted-model.ts'

const unlimited = {
  RATE_CHATS_PER_MINUTE: '0',
  RATE_REQUESTS_PER_MINUTE: '0',
  MAX_GENERATIONS_PER_USER: '0',
}
const secretText = 'the words of another user'

let gateway: TestGateway
let database: Database
/** What was answered as our own failure, whatever the client was told. */
const bugs: unknown[] = []
const log: Log = { ...quietLog, error: (msg, fields) => bugs.push([msg, fields?.['error']]) }
let secrets: { messageId: string; userMessageId: string }

beforeAll(async () => {
  database = await migratedDatabase()
  gateway = testGateway({ database, model: new ScriptedModel(), env: unlimited, log })
  const asked = await gateway.call('POST', '/api/chat', {
    body: { sessionId: 'secret', userId: 'victim', message: secretText },
  })
  secrets = asked.body
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
  expect(bugs).toEqual([])
})

/** A good answer, or an error of the contract under its own status; never a word of another's session. */
function isOfTheContract(answer: Answer): void {
  expect(answer.text).not.toContain(secretText)
  if (answer.status < 400) return
  const error = answer.body?.error
  expect(error).toMatchObject({ message: expect.any(String), temporary: expect.any(Boolean) })
  expect(errorStatus[error.code as keyof typeof errorStatus]).toBe(answer.status as never)
  expect(answer.status).not.toBe(500)
}

const odd = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('secret', 'victim', '', '..', '\0', '%00', "'; --", '__proto__', 'constructor'),
  fc.uuid(),
  // A time that no database can read.
  fc.constant('ffffffff-ffff-7fff-8fff-ffffffffffff'),
)
const value = fc.oneof(odd, fc.jsonValue({ maxDepth: 2 }))
const runs = { numRuns: 150, interruptAfterTimeLimit: 6_000 }

const bodies = fc.oneof(
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 80 }) },
  { weight: 1, arbitrary: fc.json({ maxDepth: 3 }) },
  {
    weight: 4,
    arbitrary: fc
      .record(
        {
          sessionId: value,
          session_id: value,
          message: value,
          messageId: fc.oneof(value, fc.constant('$answer'), fc.constant('$question')),
          userId: value,
          title: value,
          roles: value,
          tenantId: value,
          regenerate: value,
          metadata: value,
          options: fc.oneof(
            value,
            fc.record({ model: value, temperature: value, maxTokens: value, system: value }),
          ),
        },
        { requiredKeys: [] },
      )
      .map((body) => JSON.stringify(body)),
  },
)

test('any body is answered as the contract says', async () => {
  const calls = fc.constantFrom(
    ['POST', '/api/chat'],
    ['POST', '/api/cancel'],
    ['POST', '/api/dev/token'],
    ['PATCH', '/api/sessions/secret'],
    ['POST', '/api/login'],
  )
  await fc.assert(
    fc.asyncProperty(calls, bodies, async ([method = '', path = ''], text) => {
      const body = text
        .replace('$answer', secrets.messageId)
        .replace('$question', secrets.userMessageId)
      // A body may name the victim: that is who asks then, and may see what is theirs.
      if (body.includes('victim')) return
      isOfTheContract(await gateway.call(method, path, { body }))
    }),
    runs,
  )
}, 30_000)

test('any id and query are answered as the contract says', async () => {
  const paths = fc.constantFrom(
    (id: string) => `/api/messages/${id}`,
    (id: string) => `/api/messages/${id}/stream`,
    (id: string) => `/api/history/${id}`,
    (id: string) => `/api/sessions/${id}`,
    (id: string) => `/api/replay/${id}`,
    (id: string) => `/${id}`,
    () => '/api/sessions',
    () => '/api/search',
    () => '/api/audit',
    () => '/api/audit/stats',
    () => '/api/analytics/summary',
    () => '/api/analytics/series',
    (id: string) => `/sse/chat?sessionId=${id}`,
  )
  const names = ['limit', 'before', 'cursor', 'from', 'to', 'q', 'errors', 'metric', 'step', 'jwt']
  const query = fc.dictionary(fc.constantFrom(...names, 'userId'), odd, { maxKeys: 3 })
  const ids = fc.oneof(odd, fc.constant('secret'), fc.constant('$answer'))
  await fc.assert(
    fc.asyncProperty(paths, ids, query, async (path, id, params) => {
      if (params['userId'] === 'victim') return
      const named = encodeURIComponent(id.toWellFormed()).replace('%24answer', secrets.messageId)
      const at = path(named)
      const joint = at.includes('?') ? '&' : '?'
      const search = new URLSearchParams(params)
      const response = await fetch(`${gateway.url}${at}${joint}${search}`)
      // A stream has no end: what it begins with is seen elsewhere.
      if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
        await response.body?.cancel()
        return
      }
      const text = await response.text()
      const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false
      const body = isJson ? JSON.parse(text) : undefined
      isOfTheContract({ status: response.status, headers: response.headers, text, body })
    }),
    runs,
  )
}, 30_000)

test('any token, key and origin are answered as the contract says', async () => {
  const visible = fc.string({ unit: 'grapheme-ascii', maxLength: 40 }).map((text) => text.trim())
  const headers = fc.record(
    {
      authorization: fc.oneof(
        visible,
        visible.map((token) => `Bearer ${token}`),
        fc.array(fc.json(), { minLength: 3, maxLength: 3 }).map((parts) => {
          const encoded = parts.map((part) => Buffer.from(part).toString('base64url'))
          return `Bearer ${encoded.join('.')}`
        }),
      ),
      cookie: visible.map((token) => `sluice=${token}`),
      'idempotency-key': visible,
      'last-event-id': visible,
      origin: visible,
    },
    { requiredKeys: [] },
  )
  const calls = fc.constantFrom(['POST', '/api/chat'], ['GET', '/api/history/secret'])
  await fc.assert(
    fc.asyncProperty(calls, headers, async ([method = '', path = ''], asked) => {
      const body = method === 'POST' ? { body: { message: 'a' } } : {}
      isOfTheContract(await gateway.call(method, path, { headers: asked, ...body }))
    }),
    runs,
  )
}, 30_000)
