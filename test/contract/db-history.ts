import { expect, test } from 'bun:test'
import type { Database, Db } from '#db/client.ts'
import { eraseSession } from '#db/queries/erase-session.ts'
import { listSessions } from '#db/queries/list-sessions.ts'
import { readColdSession } from '#db/queries/read-cold-session.ts'
import { readErasures } from '#db/queries/read-erasures.ts'
import { readMessage } from '#db/queries/read-message.ts'
import { readMessagesPage } from '#db/queries/read-messages-page.ts'
import { readOwners } from '#db/queries/read-owners.ts'
import { type NewMessage, saveMessages } from '#db/queries/save-messages.ts'
import { type NewSession, saveSessions } from '#db/queries/save-sessions.ts'
import { setTitle } from '#db/queries/set-title.ts'
import { timeOfUuid, uuidv7 } from '#runtime/ids.ts'

const startMs = Date.now() - 60_000
const iso = (atMs: number) => new Date(atMs).toISOString()

/** A session of a user of its own, and what its events say. */
function thread() {
  const id = crypto.randomUUID()
  const owner = { sessionId: `s-${id}`, tenantId: 'default', userId: `u-${id}` }
  const message = (seq: number, fields: Partial<NewMessage> = {}): NewMessage => {
    const messageId = fields.messageId ?? uuidv7(startMs + seq)
    return {
      ...owner,
      conversationId: owner.sessionId,
      role: 'user',
      content: `text ${seq}`,
      outcome: 'completed',
      length: 6,
      epoch: 5,
      seq,
      ...fields,
      messageId,
      createdAt: iso(timeOfUuid(messageId)),
    }
  }
  const session = (seq: number, at = startMs): NewSession => ({
    ...owner,
    createdAt: iso(startMs),
    last: { epoch: 5, seq },
    lastMessage: { at: iso(at), epoch: 5, seq },
  })
  const erasure = (seq: number, epoch = 5) => ({ ...owner, epoch, seq, at: iso(startMs) })
  const save = async (db: Db, ...seqs: number[]) => {
    await saveMessages(
      db,
      seqs.map((seq) => message(seq)),
    )
    await saveSessions(
      db,
      seqs.map((seq) => session(seq, startMs + seq)),
    )
  }
  const texts = async (db: Db) =>
    (await readMessagesPage(db, owner, { limit: 100 })).messages.map(({ content }) => content)
  return { owner, message, session, erasure, save, texts }
}

export function historySuite(database: () => Database): void {
  test('a message comes back as it was told, with nothing that was not', async () => {
    const { db } = database()
    const { owner, message } = thread()
    const question = message(1)
    const answer = message(4, {
      role: 'assistant',
      content: 'e\u0301 😀 <b>\r\n',
      parts: [{ part: 0, kind: 'reasoning', text: 'hm' }],
      metadata: { deep: [{ a: null }] },
      parentMessageId: question.messageId,
      model: 'demo',
      chunks: 3,
      sha256: 'ab',
      finishReason: 'stop',
      usage: { inputTokens: 3, outputTokens: 4 },
      error: { code: 'upstream_failed', errorType: 'timeout', message: 'late' },
      finishedAt: iso(startMs + 5_000),
    })
    await saveMessages(db, [question, answer])
    const { epoch: _epoch, seq: _seq, tenantId: _tenant, userId: _user, ...told } = answer
    const { sessionId: _session, ...stored } = told
    expect(await readMessage(db, answer.messageId)).toEqual({
      ...owner,
      erased: false,
      message: stored as never,
    })
    expect((await readMessage(db, question.messageId))?.message).toEqual({
      messageId: question.messageId,
      conversationId: owner.sessionId,
      role: 'user',
      content: 'text 1',
      outcome: 'completed',
      length: 6,
      createdAt: question.createdAt,
    })
    expect(await readMessage(db, uuidv7(startMs))).toBeNull()
    expect(await readMessage(db, 'not a uuid')).toBeNull()
  })

  test('of a message that is told more than once the highest step stands, whatever comes last', async () => {
    const { db } = database()
    const { message } = thread()
    const first = message(3, { content: 'first', epoch: 5 })
    const { messageId } = first
    const later = message(2, { messageId, content: 'later', epoch: 6 })
    const content = async () => (await readMessage(db, messageId))?.message.content
    await saveMessages(db, [first])
    await saveMessages(db, [message(9, { messageId, content: 'same epoch' }), later, first])
    expect(await content()).toBe('later')
    await saveMessages(db, [first])
    expect(await content()).toBe('later')
  })

  test('messages are in the order of their steps, a question before the answer of its step', async () => {
    const { db } = database()
    const { owner, message, texts } = thread()
    await saveMessages(db, [
      message(2, { role: 'assistant', content: 'answer' }),
      message(2, { role: 'user', content: 'question' }),
      message(1, { epoch: 6, content: 'next epoch' }),
      message(1, { content: 'first' }),
    ])
    expect(await texts(db)).toEqual(['first', 'question', 'answer', 'next epoch'])
    const page = await readMessagesPage(db, owner, { limit: 2 })
    expect(page.hasOlder).toBe(true)
    const before = page.messages[0]?.messageId
    const rest = await readMessagesPage(db, owner, { limit: 2, before })
    expect(rest.messages.map(({ content }) => content)).toEqual(['first', 'question'])
    expect(rest.hasOlder).toBe(false)
  })

  test('a page before a message that is not told yet is what is older than it', async () => {
    const { db } = database()
    const { owner, save } = thread()
    await save(db, 1, 2, 3)
    const before = uuidv7(startMs + 3)
    const page = await readMessagesPage(db, owner, { limit: 5, before })
    expect(page.messages.map(({ content }) => content)).toEqual(['text 1', 'text 2'])
    expect((await readMessagesPage(db, owner, { limit: 5, before: 'x' })).messages).toEqual([])
  })

  test("another's page of a session is empty", async () => {
    const { db } = database()
    const { owner, save } = thread()
    await save(db, 1)
    for (const other of [{ userId: 'eve' }, { tenantId: 'other' }]) {
      const { messages } = await readMessagesPage(db, { ...owner, ...other }, { limit: 5 })
      expect(messages).toEqual([])
    }
  })

  for (const order of ['after its messages', 'before its messages'] as const) {
    test(`an erasure that comes ${order} leaves no text of theirs and all of later ones`, async () => {
      const { db } = database()
      const { owner, message, erasure, save, texts } = thread()
      if (order === 'before its messages') await eraseSession(db, erasure(3))
      await save(db, 1, 3, 4)
      if (order === 'after its messages') await eraseSession(db, erasure(3))
      expect(await texts(db)).toEqual(['text 4'])
      const parts = [{ part: 0, kind: 'text', text: 'hidden' }]
      const late = message(2, { parts, metadata: { a: 'hidden' }, sha256: 'ab', chunks: 7 })
      await saveMessages(db, [late])
      const found = await readMessage(db, late.messageId)
      expect(found).toMatchObject({ ...owner, erased: true, message: { content: '', chunks: 7 } })
      expect(Object.keys(found?.message ?? {})).not.toContainAnyValues([
        'parts',
        'metadata',
        'sha256',
      ])
      expect(await readErasures(db, [owner.sessionId, 'nobody'])).toEqual([
        { sessionId: owner.sessionId, epoch: 5, seq: 3 },
      ])
    })
  }

  test('an erasure never goes back, and what it took stays gone when it is told again', async () => {
    const { db } = database()
    const { owner, message, erasure, save, texts } = thread()
    const told = message(2)
    await saveMessages(db, [told])
    await eraseSession(db, erasure(3))
    await eraseSession(db, erasure(1))
    await eraseSession(db, erasure(9, 4))
    expect(await readErasures(db, [owner.sessionId])).toMatchObject([{ epoch: 5, seq: 3 }])
    await saveMessages(db, [{ ...told, epoch: 6, seq: 8 }])
    expect(await texts(db)).toEqual([])
    await save(db, 4)
    await eraseSession(db, erasure(3))
    expect(await texts(db)).toEqual(['text 4'])
  })

  test('a session is whose first event said, and its times and steps only grow', async () => {
    const { db } = database()
    const { owner, session } = thread()
    await saveSessions(db, [session(7, startMs + 7), session(3, startMs + 3)])
    await saveSessions(db, [{ ...session(9, startMs + 9), userId: 'eve' }])
    await saveSessions(db, [{ ...session(2), createdAt: iso(startMs - 5) }])
    await saveSessions(db, [session(4, startMs + 4)])
    expect(await readOwners(db, ['nobody', owner.sessionId, 'no "one"'])).toEqual([owner])
    expect((await readColdSession(db, owner.sessionId))?.last).toEqual({ epoch: 5, seq: 7 })
    const { sessions } = await listSessions(db, owner, { limit: 5 })
    expect(sessions).toEqual([
      {
        sessionId: owner.sessionId,
        title: null,
        createdAt: iso(startMs - 5),
        lastMessageAt: iso(startMs + 7),
      },
    ])
  })

  test('a cold session has its newest messages within the bounds, the newest always', async () => {
    const { db } = database()
    const { owner, message, save, session } = thread()
    await save(db, 1, 2, 3)
    const cold = (messagesMax: number, bytesMax: number) =>
      readColdSession(db, owner.sessionId, { messagesMax, bytesMax })
    const shown = async (messagesMax: number, bytesMax: number) => {
      const found = await cold(messagesMax, bytesMax)
      return [found?.messages.map(({ content }) => content), found?.hasOlder]
    }
    expect(await shown(50, 1_000)).toEqual([['text 1', 'text 2', 'text 3'], false])
    expect(await shown(3, 1_000)).toEqual([['text 1', 'text 2', 'text 3'], false])
    expect(await shown(2, 1_000)).toEqual([['text 2', 'text 3'], true])
    expect(await shown(50, 13)).toEqual([['text 2', 'text 3'], true])
    expect(await shown(50, 1)).toEqual([['text 3'], true])
    await saveMessages(db, [message(5, { content: 'é'.repeat(100) })])
    await saveSessions(db, [session(6)])
    expect(await shown(50, 200)).toEqual([['é'.repeat(100)], true])
    expect(await cold(50, 200)).toMatchObject({ ...owner, last: { epoch: 5, seq: 6 } })
    expect(await readColdSession(db, 'nobody')).toBeNull()
  })

  test('an erased session is still its owner’s, without messages, and not listed until the next', async () => {
    const { db } = database()
    const { owner, erasure, save, session } = thread()
    await setTitle(db, owner, 'a secret')
    await save(db, 1, 2)
    await eraseSession(db, erasure(3))
    expect(await readColdSession(db, owner.sessionId)).toEqual({
      ...owner,
      last: { epoch: 5, seq: 3 },
      messages: [],
      hasOlder: false,
    })
    await saveSessions(db, [session(2)])
    expect((await listSessions(db, owner, { limit: 5 })).sessions).toEqual([])
    await save(db, 4)
    expect((await listSessions(db, owner, { limit: 5 })).sessions).toMatchObject([
      { sessionId: owner.sessionId, title: null },
    ])
  })

  test('sessions are listed by their newest message, page by page, only those with one', async () => {
    const { db } = database()
    const { owner, session } = thread()
    const ids = ['a', 'b', 'c', 'd', 'e'].map((name) => `${owner.sessionId}-${name}`)
    await saveSessions(
      db,
      ids.map((sessionId, index) => ({
        ...session(1, startMs + Math.floor(index / 2)),
        sessionId,
      })),
    )
    await setTitle(db, { ...owner, sessionId: `${owner.sessionId}-empty` }, 'empty')
    const seen: string[] = []
    let before: string | undefined
    for (;;) {
      const page = await listSessions(db, owner, { limit: 2, before })
      seen.push(...page.sessions.map(({ sessionId }) => sessionId))
      if (!page.hasOlder) break
      before = seen.at(-1)
    }
    expect(seen).toEqual(ids.toReversed())
    const behindUnknown = await listSessions(db, owner, { limit: 2, before: 'nobody' })
    expect(behindUnknown).toEqual({ sessions: [], hasOlder: false })
  })

  test('a title is set before and after the session is told, by its owner alone', async () => {
    const { db } = database()
    const { owner, save } = thread()
    expect(await setTitle(db, owner, 'early')).toBe(true)
    await save(db, 1)
    expect(await setTitle(db, { ...owner, userId: 'eve' }, 'mine')).toBe(false)
    const titles = async () =>
      (await listSessions(db, owner, { limit: 5 })).sessions.map(({ title }) => title)
    expect(await titles()).toEqual(['early'])
    expect(await setTitle(db, owner, null)).toBe(true)
    expect(await titles()).toEqual([null])
  })

  test('a message whose text was never told is in no history', async () => {
    const { db } = database()
    const { owner, message, save, texts } = thread()
    const told = message(1, { content: null })
    await saveMessages(db, [told])
    expect(await texts(db)).toEqual([])
    expect(await readMessage(db, told.messageId)).toBeNull()
    await save(db, 2)
    expect((await readColdSession(db, owner.sessionId))?.hasOlder).toBe(false)
  })
}
