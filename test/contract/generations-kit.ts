import type { EventLog } from '#eventlog/event-log.ts'
import { partitionOf } from '#events/murmur2.ts'
import { newMessageId } from '#gateway/chat/message-id.ts'
import { openEvent } from '#gateway/chat/open-event.ts'
import type {
  Generations,
  GenerationsOptions,
  Live,
  LogStep,
  SessionRef,
  StoredMessage,
} from '#gateway/generations/generations.ts'
import type { Append, Begin, Claim, Erase, Finish, Run } from '#gateway/generations/steps.ts'
import { randomToken, uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'

/** One adapter under test, with the event log that its steps reach. */
export interface Fixture {
  generations: Generations
  log: EventLog
  /** The store's clock goes on by this much, by waiting where it can't be set. */
  advance(ms: number): Promise<void>
}

export type MakeFixture = (options?: Partial<GenerationsOptions>) => Promise<Fixture>

export const optionsDefault: GenerationsOptions = {
  resumeTtlMs: 600_000,
  historyTtlMs: 3_600_000,
  outboxMaxEvents: 2_000_000,
  outboxMaxBytes: 1_073_741_824,
}

export function newSession(userId = 'ada'): SessionRef {
  return { sessionId: uuidv7(Date.now()), tenantId: 'default', userId }
}

export function eventOf(session: SessionRef, eventType: string, fields: object = {}) {
  const at = Date.now()
  return openEvent({ eventType, session, at, nodeId: 'n1', fields: { ...fields } })
}

export function userMessage(session: SessionRef, content = 'Why?'): StoredMessage {
  return {
    messageId: uuidv7(Date.now()),
    conversationId: session.sessionId,
    role: 'user',
    content,
    outcome: 'completed',
    createdAt: iso(Date.now()),
  }
}

export function beginStep(session: SessionRef, more: Partial<Begin> = {}): Begin {
  const question = more.question ?? userMessage(session)
  const messageId = newMessageId(session.sessionId, Date.now())
  return {
    session,
    ifAbsent: 'create',
    messageId,
    userMessageId: question.messageId,
    token: randomToken(),
    leaseMs: 10_000,
    at: Date.now(),
    digest: 'd',
    model: 'demo',
    question,
    startedFrame: JSON.stringify({ type: 'started', messageId }).slice(0, -1),
    sessionStarted: eventOf(session, 'SESSION_STARTED'),
    events: [eventOf(session, 'CHAT_MESSAGE'), eventOf(session, 'STREAM_STARTED')],
    ...more,
  }
}

/** What an owner needs to know of its answer. */
export type Owned = Pick<Begin, 'session' | 'messageId' | 'userMessageId' | 'token'>

export function runOf(owned: Owned, from: number, to: number): Run {
  const fields = { fromChunkIndex: from, chunkIndex: to - 1, messageId: owned.messageId }
  return { from, to, event: eventOf(owned.session, 'CHUNK_RECEIVED', fields) }
}

export function appendStep(owned: Owned, next: number, texts: string[], runs: Run[] = []): Append {
  const { session, messageId, token } = owned
  const chunks = texts.map((text) => ({ kind: 'text' as const, part: 0, text }))
  return { sessionId: session.sessionId, messageId, token, next, chunks, runs }
}

export function claimStep(messageId: string, more: Partial<Claim> = {}): Claim {
  const token = randomToken()
  return { messageId, intent: 'user', token, leaseMs: 10_000, at: Date.now(), ...more }
}

export function finishStep(
  owned: Owned,
  next: number,
  more: Partial<Finish> & { content?: string } = {},
): Finish {
  const { session, messageId, userMessageId, token } = owned
  const { content = 'Because.', outcome = 'completed', ...rest } = more
  const message: StoredMessage = {
    messageId,
    conversationId: session.sessionId,
    role: 'assistant',
    content,
    outcome,
    createdAt: iso(Date.now()),
    parentMessageId: userMessageId,
    chunks: next,
  }
  return {
    sessionId: session.sessionId,
    messageId,
    token,
    next,
    outcome,
    at: Date.now(),
    doneFrame: JSON.stringify({ type: 'done', messageId, outcome }).slice(0, -1),
    runs: [],
    events: [eventOf(session, 'STREAM_COMPLETED'), eventOf(session, 'CHAT_MESSAGE')],
    message,
    ...rest,
  }
}

export function eraseStep(session: SessionRef): Erase {
  return {
    session,
    erasureId: uuidv7(Date.now()),
    at: Date.now(),
    erasedFrame: '{"type":"erased"',
    events: [eventOf(session, 'HISTORY_ERASED')],
  }
}

/** An answer from its question to its end; what stands at each seq is `started`, a chunk each, `done`. */
export async function answer(
  { generations }: Pick<Fixture, 'generations'>,
  session: SessionRef,
  texts: string[],
  more: Partial<Begin> & { content?: string } = {},
): Promise<{ begin: Begin; finish: Finish }> {
  const { content, ...rest } = more
  const begin = beginStep(session, rest)
  await generations.begin(begin)
  const runs = texts.length > 0 ? [runOf(begin, 0, texts.length)] : []
  await generations.append([appendStep(begin, 0, texts, runs)])
  const finish = finishStep(begin, texts.length, { content: content ?? texts.join('') })
  await generations.finish(finish)
  return { begin, finish }
}

export type Told = Record<string, unknown> & { eventId: string; eventType: string }

/** Every event of a session as the log has it, by topic and offset. */
export async function eventsOf({ log }: Fixture, sessionId: string): Promise<Told[]> {
  const found: Told[] = []
  const decoder = new TextDecoder()
  for (const { topic, partitions } of await log.topics()) {
    const partition = partitionOf(new TextEncoder().encode(sessionId), partitions)
    const kept = (await log.kept(topic))?.find((each) => each.partition === partition)
    if (kept === undefined) continue
    const range = { topic, partition, from: kept.from, to: kept.to }
    for await (const page of log.read(range, AbortSignal.timeout(5_000))) {
      for (const { key, value } of page) {
        if (key === null || value === null || decoder.decode(key) !== sessionId) continue
        found.push(JSON.parse(decoder.decode(value)) as Told)
      }
    }
  }
  return found
}

/** What is wrong with the steps that events tell: each from 1 to the top, each event once. */
export function faultsOf(events: Told[], top: number): string[] {
  const faults: string[] = []
  const ids = new Set(events.map((event) => event.eventId))
  if (ids.size !== events.length) faults.push(`${events.length - ids.size} events stand twice`)
  const told = new Map<number, string>()
  for (const event of events) {
    if (event['seq'] === undefined) continue
    const to = Number(event['seq'])
    const isRun = event['fromSeq'] !== undefined
    for (let seq = Number(event['fromSeq'] ?? to); seq <= to; seq += 1) {
      if (told.has(seq) && (isRun || told.get(seq) === 'run')) faults.push(`${seq} is told twice`)
      told.set(seq, isRun ? 'run' : 'step')
    }
  }
  for (let seq = 1; seq <= top; seq += 1) if (!told.has(seq)) faults.push(`${seq} is not told`)
  for (const seq of told.keys()) if (seq > top) faults.push(`${seq} is above the top ${top}`)
  return faults
}

/** Everything after a cursor, page by page. */
export async function readAll(
  { generations }: Pick<Fixture, 'generations'>,
  sessionId: string,
  from: { epoch: number; seq: number; maxSteps?: number },
): Promise<LogStep[]> {
  const steps: LogStep[] = []
  let { seq } = from
  for (;;) {
    const after = { epoch: from.epoch, seq }
    const read = await generations.read(sessionId, after, from.maxSteps ?? 1_000, 1_000_000)
    if (read.is !== 'steps') throw new Error(`not served: ${JSON.stringify(read)}`)
    if (read.steps.length === 0) return steps
    steps.push(...read.steps)
    seq = read.steps.at(-1)?.seq ?? seq
  }
}

/** What a session's watcher hears, as it hears it. */
export async function listen({ generations }: Pick<Fixture, 'generations'>, sessionId: string) {
  const heard: Live[] = []
  const watch = await generations.watch(sessionId, (live) => heard.push(live))
  const steps = () => heard.flatMap((live) => (live.type === 'steps' ? live.steps : []))
  return { heard, steps, close: () => watch.close() }
}

export function textsOf(steps: LogStep[]): string[] {
  return steps.map((step) => (step.type === 'chunk' ? step.text : step.type))
}
