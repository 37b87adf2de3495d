import { createClient } from 'redis'
import { Runs } from '#gateway/chat/answers/runs.ts'
import { newMessageId } from '#gateway/chat/message-id.ts'
import { openEvent } from '#gateway/chat/open-event.ts'
import type { SessionRef } from '#gateway/generations/generations.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import type { Append, Begin, Run } from '#gateway/generations/steps.ts'
import { randomToken, uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import { cpuSecondsOf } from '../process.ts'
import { report } from './load.ts'

// Steps of one chunk each, a run's event with every 30th as at 30 tokens/s, beside an `XADD` of the same entry by the
// same client: so many at once, then the next as soon as all are answered.
interface StepOptions {
  redisUrl: string
  redisPid: number
  what: 'step' | 'xadd'
  atOnce: number
}

interface Answer {
  begin: Begin
  next: number
  runs: Runs
}

const warmMs = 1_500
const measuredMs = 4_000
const tokensPerSecond = 30
const chunkMs = 1_000 / tokensPerSecond
const text = 'stream'
const options = JSON.parse(process.argv[2] ?? '{}') as StepOptions
const { redisUrl, redisPid, what, atOnce } = options
const round = what === 'step' ? await stepping() : await adding()
await during(warmMs)
const before = { at: performance.now(), ...cpu() }
const count = await during(measuredMs)
const seconds = (performance.now() - before.at) / 1_000
const after = cpu()
report({
  perSecond: Math.round(count / seconds),
  bunUs: ((after.bun - before.bun) * 1e6) / count,
  redisUs: ((after.redis - before.redis) * 1e6) / count,
})

function cpu() {
  return { bun: cpuSecondsOf(process.pid), redis: cpuSecondsOf(redisPid) }
}

async function during(ms: number): Promise<number> {
  const endMs = performance.now() + ms
  let done = 0
  while (performance.now() < endMs) {
    await round()
    done += atOnce
  }
  return done
}

async function stepping(): Promise<() => Promise<void>> {
  const generations = redisGenerations({
    url: redisUrl,
    nodeId: 'bench',
    ...{ eventContent: 'full', chunkEventMs: 1_000 },
    ...{ resumeTtlMs: 600_000, historyTtlMs: 3_600_000 },
    ...{ outboxMaxEvents: 2_000_000, outboxMaxBytes: 1_073_741_824 },
  })
  const answers: Answer[] = []
  for (let at = 0; at < atOnce; at += 1) {
    const begin = beginOf({ sessionId: uuidv7(Date.now()), tenantId: 'default', userId: 'bench' })
    const { is } = await generations.begin(begin)
    if (is !== 'applied') throw new Error(`an answer did not begin: ${is}`)
    const { session, messageId } = begin
    const told = { session, messageId, nodeId: 'bench', chunkEventMs: 1_000 }
    const runs = new Runs({ ...told, eventContent: 'full', now: Date.now }, 0)
    // Their runs do not close in step.
    answers.push({ begin, next: 0, runs })
    const ahead = Array.from({ length: at % tokensPerSecond }, () => 0)
    for (const _ of ahead) await appendAll([stepOf(answers.at(-1))])
  }
  return () => appendAll(answers.map(stepOf))

  async function appendAll(steps: Append[]): Promise<void> {
    for (const { is } of await generations.append(steps)) {
      if (is !== 'applied') throw new Error(`a step was not applied: ${is}`)
    }
  }
}

function stepOf(answer: Answer | undefined): Append {
  if (answer === undefined) throw new Error('no answer')
  const { begin, runs, next } = answer
  const closed: Run[] = []
  const chunk = { kind: 'text' as const, part: 0, text }
  runs.add({ ...chunk, bytes: text.length, atMs: next * chunkMs }, closed)
  answer.next += 1
  const { messageId, token, session } = begin
  return { sessionId: session.sessionId, messageId, token, next, chunks: [chunk], runs: closed }
}

async function adding(): Promise<() => Promise<void>> {
  const client = createClient({ url: redisUrl })
  await client.connect()
  const keys = Array.from({ length: atOnce }, () => `bench:l:${uuidv7(Date.now())}`)
  return async () => {
    await Promise.all(keys.map((key) => client.sendCommand(['XADD', key, '*', '0', text])))
  }
}

function beginOf(session: SessionRef): Begin {
  const at = Date.now()
  const event = (eventType: string, fields: Record<string, unknown> = {}) =>
    openEvent({ eventType, session, at, nodeId: 'bench', fields })
  const messageId = newMessageId(session.sessionId, at)
  const question = {
    ...{ messageId: uuidv7(at), conversationId: session.sessionId, content: 'Why?' },
    ...{ role: 'user' as const, outcome: 'completed' as const, createdAt: iso(at) },
  }
  return {
    ...{ session, messageId, question, at },
    ...{ ifAbsent: 'create', digest: 'd', model: 'bench', leaseMs: 600_000 },
    userMessageId: question.messageId,
    token: randomToken(),
    startedFrame: JSON.stringify({ type: 'started', messageId }).slice(0, -1),
    sessionStarted: event('SESSION_STARTED'),
    events: [event('CHAT_MESSAGE', { messageId }), event('STREAM_STARTED', { messageId })],
  }
}
