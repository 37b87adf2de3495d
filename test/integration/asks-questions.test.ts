import { describe, expect, test } from 'bun:test'
import { newId } from '#client/environment.ts'
import type { Ask, Who } from '#gateway/chat/asks.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import type { ColdSession, StoredMessage } from '#gateway/generations/generations.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { type AsksNode, ann, asksNode, bob, frameOf, PlainArchive } from '../support/asks-node.ts'
import { until } from '../support/until.ts'

async function refusal(node: AsksNode, who: Who, ask: Ask): Promise<ContractError> {
  try {
    await node.asks.ask(who, ask)
  } catch (error) {
    if (error instanceof ContractError) return error
    throw error
  }
  throw new Error('it was accepted')
}

/** One question and its answer, to the end. */
async function exchange(node: AsksNode, ask: Ask, answer: string) {
  const accepted = await node.asks.ask(ann, ask)
  const call = await node.model.call(accepted.messageId)
  call.say(answer)
  call.end()
  await node.done(accepted.sessionId, accepted.messageId)
  return { ...accepted, request: call.request }
}

const contents = (messages: { content: string }[]) => messages.map(({ content }) => content)

describe('a question without a session', () => {
  test('gets a new one', async () => {
    await using node = asksNode()
    const first = await node.asks.ask(ann, { content: 'a' })
    const second = await node.asks.ask(ann, { content: 'a' })
    expect(first.sessionId).not.toBe(second.sessionId)
    expect(await node.generations.session(first.sessionId)).toMatchObject({ userId: 'ann' })
  })
})

describe('a new session while Postgres is away', () => {
  class AwayArchive extends PlainArchive {
    override session(): Promise<never> {
      return Promise.reject(new ContractError('unavailable', 'the database is out of reach'))
    }
  }

  test('begins when its id was just made, so that nobody else can have it', async () => {
    await using node = asksNode({ archive: new AwayArchive() })
    for (const sessionId of [undefined, uuidv7(Date.now()), newId()]) {
      const ask = { content: 'a', ...(sessionId !== undefined && { sessionId }) }
      const accepted = await node.asks.ask(ann, ask)
      expect((await refusal(node, bob, { ...ask, ...accepted })).code).toBe('forbidden')
    }
  })

  test('is unavailable under an id that somebody may have had before', async () => {
    await using node = asksNode({ archive: new AwayArchive() })
    const hourMs = 3_600_000
    const ids = ['s1', crypto.randomUUID(), uuidv7(Date.now() - hourMs)]
    for (const sessionId of [...ids, uuidv7(Date.now() + hourMs)]) {
      const refused = await refusal(node, ann, { sessionId, content: 'a' })
      expect(refused.code).toBe('unavailable')
    }
  })
})

describe('the same request key', () => {
  test('gets the first one’s ids, while the answer is made and after it', async () => {
    await using node = asksNode({ limits: { chatsPerMinute: 1, generationsPerUser: 1 } })
    const ask = { sessionId: 's1', content: 'a\0', requestId: 'r1' }
    const first = await node.asks.ask(ann, ask)
    const again = { ...first, duplicate: true }
    expect(await node.asks.ask(ann, ask)).toEqual(again)
    const call = await node.model.call(first.messageId)
    call.end()
    await node.done('s1', first.messageId)
    const forbiddenNow = { model: 'no such model', temperature: 99 }
    expect(await node.asks.ask(ann, { ...ask, content: 'a\ufffd', options: forbiddenNow })).toEqual(
      again,
    )
    expect(node.model.calls).toHaveLength(1)
    await node.asks.drain(0)
    expect(await node.asks.ask(ann, ask)).toEqual(again)
  })

  test('with other content is a conflict', async () => {
    await using node = asksNode()
    await node.asks.ask(ann, { sessionId: 's1', content: 'a', requestId: 'r1' })
    const other = { sessionId: 's1', content: 'b', requestId: 'r1' }
    expect((await refusal(node, ann, other)).code).toBe('idempotency_conflict')
  })

  test('is of one user and one session', async () => {
    await using node = asksNode()
    const first = await node.asks.ask(ann, { sessionId: 's1', content: 'a', requestId: 'r1' })
    const elsewhere = await node.asks.ask(ann, { sessionId: 's2', content: 'b', requestId: 'r1' })
    expect(elsewhere.duplicate).toBe(false)
    expect(elsewhere.messageId).not.toBe(first.messageId)
    const theirs = { sessionId: 's1', content: 'a', requestId: 'r1' }
    expect((await refusal(node, bob, theirs)).code).toBe('forbidden')
  })

  test('asked many times at once makes one answer', async () => {
    await using node = asksNode({ limits: { generationsPerUser: 1 } })
    const ask = { sessionId: 's1', content: 'a', requestId: 'r1' }
    const all = await Promise.all(Array.from({ length: 10 }, () => node.asks.ask(ann, ask)))
    expect(new Set(all.map(({ messageId }) => messageId)).size).toBe(1)
    expect(all.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    expect(node.model.calls).toHaveLength(1)
  })

  test('is free again when its first request was refused', async () => {
    await using node = asksNode()
    const ask = { sessionId: 's1', content: ' ', requestId: 'r1' }
    expect((await refusal(node, ann, ask)).code).toBe('invalid_request')
    expect((await node.asks.ask(ann, { ...ask, content: 'a' })).duplicate).toBe(false)
  })
})

describe('a question is refused', () => {
  test('while an answer of its session is made, and taken at once after done', async () => {
    await using node = asksNode()
    const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content: 'a' })
    const busy = await refusal(node, ann, { sessionId: 's1', content: 'b' })
    expect(busy.code).toBe('generation_in_progress')
    expect(busy.details.messageId).toBe(messageId)
    const call = await node.model.call(messageId)
    const next = Promise.withResolvers<unknown>()
    await node.generations.watch('s1', (live) => {
      const isDone = live.type === 'steps' && live.steps.some(({ type }) => type === 'done')
      if (isDone) next.resolve(node.asks.ask(ann, { sessionId: 's1', content: 'c' }))
    })
    call.end()
    expect(await next.promise).toMatchObject({ duplicate: false })
  })

  test('in another user’s session, hot or only in the archive', async () => {
    const archive = new PlainArchive()
    archive.add(coldSession('s2', ['old']))
    await using node = asksNode({ archive })
    await exchange(node, { sessionId: 's1', content: 'a' }, 'b')
    for (const sessionId of ['s1', 's2']) {
      expect((await refusal(node, bob, { sessionId, content: 'x' })).code).toBe('forbidden')
    }
    const stranger = { ...ann, tenantId: 'other' }
    expect((await refusal(node, stranger, { sessionId: 's1', content: 'x' })).code).toBe(
      'forbidden',
    )
  })

  test('past the user’s rate and number of answers, with the time to wait', async () => {
    await using node = asksNode({ limits: { generationsPerUser: 1, chatsPerMinute: 3 } })
    const { messageId } = await node.asks.ask(ann, { sessionId: 's1', content: 'a' })
    const second = await refusal(node, ann, { sessionId: 's2', content: 'a' })
    expect(second.code).toBe('rate_limited')
    await node.asks.cancel(ann, messageId)
    await node.asks.ask(ann, { sessionId: 's2', content: 'a' })
    const third = await refusal(node, ann, { sessionId: 's3', content: 'a' })
    expect(third.code).toBe('rate_limited')
    expect(third.details.retryAfterMs).toBeGreaterThanOrEqual(1_000)
    expect(await node.asks.ask(bob, { sessionId: 's4', content: 'a' })).toBeDefined()
  })

  test('while the node drains', async () => {
    await using node = asksNode()
    await node.asks.drain(0)
    const refused = await refusal(node, ann, { sessionId: 's1', content: 'a' })
    expect(refused.code).toBe('unavailable')
    expect(refused.details.retryAfterMs).toBeGreaterThanOrEqual(1_000)
  })
})

describe('the model', () => {
  test('is told the newest of the session before the question, and the options', async () => {
    await using node = asksNode({
      chat: { contextMessages: 3, contextBytes: 20 },
      models: { systemPrompt: 'Be kind.' },
    })
    await exchange(node, { sessionId: 's1', content: 'question 1' }, 'answer 1')
    await exchange(node, { sessionId: 's1', content: 'q2' }, 'a2')
    const options = { model: 'other', temperature: 0.5, maxTokens: 7 }
    const third = await exchange(node, { sessionId: 's1', content: 'q3', options }, 'a3')
    expect(third.request).toMatchObject({ model: 'other', temperature: 0.5, maxTokens: 7 })
    expect(third.request.messages).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'assistant', content: 'answer 1' },
      { role: 'user', content: 'q2' },
      { role: 'assistant', content: 'a2' },
      { role: 'user', content: 'q3' },
    ])
  })

  test('is told what a session was before it went cold', async () => {
    const archive = new PlainArchive()
    archive.add(coldSession('s1', ['old question', 'old answer']))
    await using node = asksNode({ archive })
    const { request } = await exchange(node, { sessionId: 's1', content: 'new' }, 'a')
    expect(contents(request.messages)).toEqual(['old question', 'old answer', 'new'])
    const events = await node.events()
    expect(events.some(({ eventType }) => eventType === 'SESSION_STARTED')).toBe(false)
  })
})

describe('a regeneration', () => {
  test('asks the standing question again, with what came before it; both answers stay', async () => {
    await using node = asksNode()
    await exchange(node, { sessionId: 's1', content: 'q1' }, 'a1')
    const second = await exchange(
      node,
      { sessionId: 's1', content: 'q2', metadata: { m: 1 } },
      'a2',
    )
    await exchange(node, { sessionId: 's1', content: 'q3' }, 'a3')
    const ask = { sessionId: 's1', regenerate: second.messageId, content: 'not read' }
    const anew = await exchange(node, ask, 'a2 anew')
    expect(anew.userMessageId).toBe(second.userMessageId)
    expect(contents(anew.request.messages)).toEqual(['q1', 'a1', 'q2'])
    const history = await node.history('s1')
    expect(contents(history)).toEqual(['q1', 'a1', 'q2', 'a2', 'q3', 'a3', 'a2 anew'])
    expect(history.at(-1)?.parentMessageId).toBe(second.userMessageId)
    const started = (await node.steps('s1')).findLast(({ type }) => type === 'started')
    expect(started && frameOf(started)).toMatchObject({
      messageId: anew.messageId,
      regenerates: second.messageId,
      userMessage: { messageId: second.userMessageId, content: 'q2', metadata: { m: 1 } },
    })
    const events = await node.events()
    const questions = events.filter((event) => 'role' in event && event['role'] === 'user')
    expect(questions).toHaveLength(3)
  })

  test('of an answer that only the archive has gets its question and context from there', async () => {
    const archive = new PlainArchive()
    const cold = coldSession('s1', ['q1', 'a1', 'q2', 'a2'])
    archive.add(cold)
    archive.cold.set('s1', { ...cold, messages: cold.messages.slice(3), hasOlder: true })
    await using node = asksNode({ archive })
    const [, first, , second] = cold.messages
    const again = await exchange(node, { sessionId: 's1', regenerate: id(second) }, 'a2 anew')
    expect(contents(again.request.messages)).toEqual(['q1', 'a1', 'q2'])
    const older = await exchange(node, { sessionId: 's1', regenerate: id(first) }, 'a1 anew')
    expect(contents(older.request.messages)).toEqual(['q1'])
  })

  test('of anything but an answer of this session is not found', async () => {
    await using node = asksNode()
    const first = await exchange(node, { sessionId: 's1', content: 'q1' }, 'a1')
    const other = await exchange(node, { sessionId: 's2', content: 'q1' }, 'a1')
    for (const regenerate of [first.userMessageId, other.messageId, 'nobody-has-it']) {
      const refused = await refusal(node, ann, { sessionId: 's1', regenerate })
      expect(refused.code).toBe('not_found')
    }
  })
})

describe('a session', () => {
  test('is open to its user alone, and unknown to reads until it is named', async () => {
    await using node = asksNode()
    const code = (work: Promise<unknown>) =>
      work.then(
        () => 'fine',
        (error: ContractError) => error.code,
      )
    expect(await code(node.sessions.check(ann, 's1'))).toBe('not_found')
    expect(await node.generations.session('s1')).toBeNull()
    const { session, top } = await node.sessions.open(ann, 's1')
    expect(session).toEqual({ sessionId: 's1', tenantId: 'acme', userId: 'ann' })
    expect(top.seq).toBe(0)
    expect(await code(node.sessions.check(ann, 's1'))).toBe('fine')
    expect(await code(node.sessions.check(bob, 's1'))).toBe('forbidden')
    expect(await code(node.sessions.open(bob, 's1'))).toBe('forbidden')
    await until(() => node.asks.activeCount() === 0)
  })
})

function coldSession(sessionId: string, said: string[]): ColdSession {
  const messageId = (at: number) => `0193a1e0-0000-7000-8000-${String(at).padStart(12, '0')}`
  const messages = said.map((content, at): StoredMessage => {
    const isAnswer = at % 2 === 1
    return {
      messageId: messageId(at),
      conversationId: sessionId,
      role: isAnswer ? 'assistant' : 'user',
      content,
      outcome: 'completed',
      createdAt: '2026-01-01T00:00:00.000Z',
      ...(isAnswer && { parentMessageId: messageId(at - 1) }),
    }
  })
  const { tenantId, userId } = ann
  const last = { epoch: 1, seq: 2 * said.length }
  return { sessionId, tenantId, userId, last, messages, hasOlder: false }
}

function id(message: StoredMessage | undefined): string {
  if (message === undefined) throw new Error('no such message')
  return message.messageId
}
