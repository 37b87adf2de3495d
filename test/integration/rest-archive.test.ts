import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { saveMessages } from '#db/queries/save-messages.ts'
import { saveSessions } from '#db/queries/save-sessions.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import { type Answer, migratedDatabase, type TestGateway, testGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

let database: Database
let gateway: TestGateway
let aheadMs = 0

beforeAll(async () => {
  database = await migratedDatabase()
  gateway = testGateway({
    database,
    env: { RATE_REQUESTS_PER_MINUTE: '0' },
    now: () => Date.now() + aheadMs,
  })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const get = (path: string, headers: Record<string, string> = {}) =>
  gateway.call('GET', path, { headers })

function isInvalid({ status, body }: Answer, field: string): void {
  expect([status, body?.error?.code, body?.error?.field]).toEqual([400, 'invalid_request', field])
}

let lastAtMs = Date.now() - 3_600_000

/** A session as the history consumer has written it, a message a second. */
async function written(owner: { userId: string; sessionId: string }, contents: string[]) {
  const session = { ...owner, tenantId: 'default' }
  const messages = contents.map((content, index) => {
    lastAtMs += 1_000
    return {
      ...session,
      messageId: uuidv7(lastAtMs),
      conversationId: owner.sessionId,
      role: index % 2 === 0 ? ('user' as const) : ('assistant' as const),
      content,
      outcome: 'completed' as const,
      createdAt: iso(lastAtMs),
      epoch: 1,
      seq: index + 1,
    }
  })
  const at = iso(lastAtMs)
  const last = { epoch: 1, seq: contents.length }
  await database.transaction(async (tx) => {
    await saveSessions(tx, [
      {
        ...session,
        createdAt: messages[0]?.createdAt ?? at,
        last,
        ...(contents.length > 0 && { lastMessage: { at, ...last } }),
      },
    ])
    await saveMessages(tx, messages)
  })
  return messages.map(({ messageId }) => messageId)
}

/** A session that hot state has had and, an hour after its last use, has forgotten. */
async function forgotten(owner: { userId: string; sessionId: string }): Promise<void> {
  const { body } = await gateway.call('POST', '/api/chat', { body: { ...owner, message: 'a' } })
  const { messageId } = body
  await gateway.call('POST', '/api/cancel', { body: { messageId, userId: owner.userId } })
  aheadMs += 2 * 3_600_000
  await gateway.expire(owner.sessionId)
  const isGone = async () => (await gateway.generations.session(owner.sessionId)) === null
  await until(isGone, { what: 'hot state forgets', timeoutMs: 10_000 })
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `m${index}`)

describe('history', () => {
  const contents = ({ body }: Answer) =>
    body.messages.map(({ content }: { content: string }) => content)

  test('is paged backwards to its beginning', async () => {
    await written({ userId: 'ann', sessionId: 'pages' }, numbered(7))
    const first = await get('/api/history/pages?userId=ann&limit=3')
    expect(contents(first)).toEqual(['m4', 'm5', 'm6'])
    const { nextBefore } = first.body
    const second = await get(`/api/history/pages?userId=ann&limit=3&before=${nextBefore}`)
    expect(contents(second)).toEqual(['m1', 'm2', 'm3'])
    const third = await get(
      `/api/history/pages?userId=ann&limit=3&before=${second.body.nextBefore}`,
    )
    expect([contents(third), third.body.count, third.body.nextBefore]).toEqual([
      ['m0'],
      1,
      undefined,
    ])
  })

  test('goes on from hot state into Postgres without a gap or a repetition', async () => {
    await forgotten({ userId: 'ann', sessionId: 'warm' })
    await written({ userId: 'ann', sessionId: 'warm' }, numbered(60))
    const asked = await gateway.call('POST', '/api/chat', {
      body: { sessionId: 'warm', userId: 'ann', message: 'new' },
    })
    await gateway.call('POST', '/api/cancel', {
      body: { messageId: asked.body.messageId, userId: 'ann' },
    })
    const all: string[] = []
    let before = ''
    for (;;) {
      const page = await get(`/api/history/warm?userId=ann&limit=20${before}`)
      all.unshift(...contents(page))
      if (page.body.nextBefore === undefined) break
      before = `&before=${page.body.nextBefore}`
    }
    expect(all.slice(0, 61)).toEqual([...numbered(60), 'new'])
    expect(all).toHaveLength(62)
  })

  test('is its user’s alone, also when only Postgres knows it', async () => {
    await forgotten({ userId: 'ann', sessionId: 'cold' })
    const [messageId] = await written({ userId: 'ann', sessionId: 'cold' }, ['q', 'a'])
    for (const path of ['/api/history/cold', `/api/messages/${messageId}`]) {
      const { status, body } = await get(`${path}?userId=bob`)
      expect([status, body.error.code]).toEqual([403, 'forbidden'])
    }
    const asked = await gateway.call('POST', '/api/chat', {
      body: { sessionId: 'cold', userId: 'bob', message: 'mine?' },
    })
    expect(asked.status).toBe(403)
  })

  test('wants a limit and a place that make sense', async () => {
    for (const limit of ['0', '201', '-1', 'x', '1.5', '']) {
      isInvalid(await get(`/api/history/pages?userId=ann&limit=${limit}`), 'limit')
    }
    isInvalid(await get('/api/history/pages?userId=ann&before=x'), 'before')
  })

  test('tells an old answer, and no question', async () => {
    const [question, answer] = await written({ userId: 'ann', sessionId: 'old' }, ['q', 'a'])
    const { body } = await get(`/api/messages/${answer}?userId=ann`)
    expect(body).toMatchObject({
      messageId: answer,
      sessionId: 'old',
      status: 'finished',
      outcome: 'completed',
      text: 'a',
      length: 1,
    })
    expect((await get(`/api/messages/${question}?userId=ann`)).status).toBe(404)
  })
})

describe('sessions', () => {
  test('are listed to their user, newest first, page by page', async () => {
    for (const sessionId of ['s1', 's2', 's3']) {
      await written({ userId: 'lister', sessionId }, ['hello'])
    }
    await written({ userId: 'lister', sessionId: 'empty' }, [])
    const first = await get('/api/sessions?userId=lister&limit=2')
    expect(first.body.sessions.map(({ sessionId }: { sessionId: string }) => sessionId)).toEqual([
      's3',
      's2',
    ])
    expect(first.body.sessions[0]).toEqual({
      sessionId: 's3',
      title: null,
      createdAt: expect.any(String),
      lastMessageAt: expect.any(String),
    })
    expect(first.body.nextBefore).toBe('s2')
    const second = await get('/api/sessions?userId=lister&limit=2&before=s2')
    expect(second.body).toMatchObject({ sessions: [{ sessionId: 's1' }] })
    expect(second.body.nextBefore).toBeUndefined()
  })

  test('get titles from their user', async () => {
    await written({ userId: 'titler', sessionId: 'titled' }, ['hello'])
    const patch = (title: unknown, userId = 'titler') =>
      gateway.call('PATCH', `/api/sessions/titled?userId=${userId}`, { body: { title } })
    expect((await patch('A title')).body).toEqual({ sessionId: 'titled', title: 'A title' })
    const listed = await get('/api/sessions?userId=titler')
    expect(listed.body.sessions[0].title).toBe('A title')
    expect((await patch(null)).body.title).toBeNull()
    expect((await patch('a\0\ud800')).body.title).toBe('a\u{FFFD}\u{FFFD}')
    for (const title of ['', 'x'.repeat(201), 7, undefined]) isInvalid(await patch(title), 'title')
    expect((await patch('mine', 'bob')).status).toBe(403)
    const nobodys = await gateway.call('PATCH', '/api/sessions/nobodys', { body: { title: 'a' } })
    expect(nobodys.status).toBe(404)
  })
})

describe('search', () => {
  test('finds one’s own messages by words, phrases and what must not be in them', async () => {
    await written({ userId: 'finder', sessionId: 'found' }, [
      'the quick <brown> fox',
      'the lazy dog',
      'the quick dog',
    ])
    await written({ userId: 'other', sessionId: 'hidden' }, ['the quick secret'])
    const search = async (q: string) =>
      (await get(`/api/search?userId=finder&q=${encodeURIComponent(q)}`)).body
    const quick = await search('QUICK')
    expect(quick.count).toBe(2)
    expect(JSON.stringify(quick)).not.toContain('secret')
    const { results } = await search('"quick <brown> fox" -dog')
    expect(results).toEqual([
      {
        messageId: expect.any(String),
        sessionId: 'found',
        role: 'user',
        excerpt: expect.stringContaining('&lt;<mark>brown</mark>&gt;'),
        score: expect.any(Number),
        createdAt: expect.any(String),
      },
    ])
  })

  test('is never an error, whatever is asked', async () => {
    for (const q of ['', ' ', '"', '-', '- -"', "'", '\0', '\ud800', '&|!()', ':*', '%', '\\']) {
      const { status, body } = await get(`/api/search?q=${encodeURIComponent(q.toWellFormed())}`)
      expect({ q, status, count: body.count }).toEqual({ q, status: 200, count: 0 })
    }
    isInvalid(await get('/api/search'), 'q')
    isInvalid(await get('/api/search?q=a&limit=101'), 'limit')
  })

  test('is not there when no text is kept', async () => {
    await using textless = testGateway({ database, env: { EVENT_CONTENT: 'none' } })
    expect((await textless.call('GET', '/api/search?q=a')).status).toBe(404)
  })
})
