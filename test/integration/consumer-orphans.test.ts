import { beforeAll, expect, test } from 'bun:test'
import { sql } from 'drizzle-orm'
import { auditConsumer } from '#consumers/audit/handle.ts'
import { historyConsumer } from '#consumers/history/handle.ts'
import { endOrphansOnce } from '#consumers/history/orphans.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { quietLog } from '#runtime/log.ts'
import { type Parts, TestClock } from '../contract/consumers-bench.ts'
import { Teller } from '../contract/consumers-events.ts'
import { postgresParts } from '../contract/consumers-parts.ts'
import { Running } from '../contract/consumers-running.ts'

const minuteMs = 60_000
let parts: Parts
beforeAll(async () => {
  parts = await postgresParts()
})

const endAll = () =>
  endOrphansOnce({
    ...parts,
    log: quietLog,
    signal: new AbortController().signal,
    config: { generationTimeoutMs: 10 * minuteMs },
    clock: new TestClock(),
  })
const answersOf = (sessionId: string) =>
  parts.database.db.execute<Record<string, unknown>>(sql`
    select message_id, content, outcome, chunks, error, model, parent_message_id from messages
    where session_id = ${sessionId} and role = 'assistant' order by epoch, seq`)
const run = () => new Running(parts, [auditConsumer({ log: quietLog }), historyConsumer()])

/** A question whose answer began so long ago and of which `texts` were told, and nothing else. */
function begun(sessionId: string, agoMs: number, texts: string[] = []) {
  const teller = new Teller(sessionId, { atMs: Date.now() - agoMs })
  const userMessageId = uuidv7(teller.atMs + 1)
  const messageId = uuidv7(teller.atMs + 2)
  teller.seq = 1
  teller.step('CHAT_MESSAGE', {
    ...{ messageId: userMessageId, role: 'user', status: 'completed' },
    ...{ content: 'Why?', contentLength: 4 },
  })
  teller.step('STREAM_STARTED', { messageId, userMessageId, model: 'demo' })
  for (const [at, text] of texts.entries()) {
    teller.seq += 1
    teller.chunks({ messageId, fromChunkIndex: at, chunkIndex: at, text })
  }
  return { teller, userMessageId, messageId }
}

test('an answer that nobody ended is interrupted at what the log has of it, once', async () => {
  const lost = begun('lost', 75 * minuteMs, ['Be', 'cause'])
  const silent = begun('silent', 75 * minuteMs)
  const running = begun('running', 65 * minuteMs, ['Be'])
  const ended = new Teller('ended', { atMs: Date.now() - 75 * minuteMs })
  ended.chat({ outcome: 'failed' })
  const tellers = [lost.teller, silent.teller, running.teller, ended]
  await run().handle(tellers.flatMap((teller) => teller.records()))
  expect(await endAll()).toBe(2)
  expect(await answersOf('lost')).toEqual([
    {
      message_id: lost.messageId,
      content: 'Because',
      outcome: 'interrupted',
      chunks: 2,
      error: {
        code: 'unavailable',
        errorType: 'owner_lost',
        message: 'The answer was interrupted.',
      },
      model: 'demo',
      parent_message_id: lost.userMessageId,
    },
  ])
  expect(await answersOf('silent')).toMatchObject([
    { content: '', outcome: 'interrupted', chunks: 0 },
  ])
  expect(await answersOf('running')).toEqual([])
  expect(await answersOf('ended')).toHaveLength(1)
  expect(await endAll()).toBe(0)
})

test('an end that comes after all stands', async () => {
  const { teller, messageId, userMessageId } = begun('late', 75 * minuteMs, ['Be'])
  const running = run()
  await running.handle(teller.records())
  expect(await endAll()).toBe(1)
  const told = teller.events.length
  teller.seq += 1
  teller.step('CHAT_MESSAGE', {
    ...{ messageId, role: 'assistant', status: 'completed', parentMessageId: userMessageId },
    ...{ content: 'Because', contentLength: 7, totalChunks: 2, model: 'demo' },
  })
  await running.handle(teller.records().slice(told))
  expect(await answersOf('late')).toMatchObject([
    { content: 'Because', outcome: 'completed', error: null },
  ])
})

test('of a session that was erased since, its text is not stored', async () => {
  const { teller } = begun('erased', 75 * minuteMs, ['Be'])
  teller.erase()
  await run().handle(teller.records())
  expect(await endAll()).toBe(1)
  expect(await answersOf('erased')).toMatchObject([{ content: null }])
})
