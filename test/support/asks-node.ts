import type { LogRecord } from '#eventlog/event-log.ts'
import type { Event } from '#events/event.ts'
import type { Archive, ArchivedMessage } from '#gateway/chat/archive.ts'
import type { Asks, Who } from '#gateway/chat/asks.ts'
import { type AsksTiming, createAsks } from '#gateway/chat/create-asks.ts'
import { createSessions, type Sessions } from '#gateway/chat/sessions.ts'
import type { ChatConfig, ModelConfig } from '#gateway/config.ts'
import type {
  ColdSession,
  Generations,
  LogStep,
  SessionRef,
  StoredMessage,
} from '#gateway/generations/generations.ts'
import type { LimitsConfig } from '#gateway/limits/limits.ts'
import { memoryLimits } from '#gateway/limits/memory-limits.ts'
import { quietLog } from '#runtime/log.ts'
import { type HotState, hotParts } from './hot-parts.ts'
import { ScriptedModel } from './scripted-model.ts'
import { tempDir } from './temp.ts'
import { opened } from './tracker.ts'
import { until } from './until.ts'

export interface AsksNodeOptions {
  dataDir?: string
  /** Another node whose store and hot state this one shares. */
  beside?: AsksNode
  chat?: Partial<ChatConfig>
  models?: Partial<ModelConfig>
  limits?: Partial<LimitsConfig>
  timing?: Partial<AsksTiming>
  archive?: PlainArchive
  /** Between this node and its hot state. */
  between?: (generations: Generations) => Generations
}

/** The frame of a step, parsed. */
export type Frame = { type: string; seq: number } & Record<string, unknown>

/** This side of a node that makes answers, on a real store, with a model that the test plays. */
export interface AsksNode extends AsyncDisposable {
  asks: Asks
  sessions: Sessions
  generations: Generations
  model: ScriptedModel
  archive: PlainArchive
  dataDir: string
  hot: HotState
  /** All steps of a session that its log still has. */
  steps(sessionId: string): Promise<LogStep[]>
  /** The last step of an answer, once it is there. */
  done(sessionId: string, messageId: string, timeoutMs?: number): Promise<Frame>
  history(sessionId: string): Promise<StoredMessage[]>
  /** Every record in the log, in the order of partitions and offsets. */
  records(): Promise<LogRecord[]>
  /** The same, decoded. */
  events(): Promise<Event[]>
}

export const ann: Who = { userId: 'ann', tenantId: 'acme', roles: [] }
export const bob: Who = { userId: 'bob', tenantId: 'acme', roles: [] }

export function asksNode(options: AsksNodeOptions = {}): AsksNode {
  const closed = opened('a node that makes answers')
  const { dataDir = tempDir(), archive = new PlainArchive(), between = (it) => it } = options
  const hot = options.beside?.hot ?? openHot(dataDir)
  // The next node's, where there are several.
  const [own] = hot.nodes
  const parts = (options.beside === undefined ? own : hot.nodes.at(-1)) ?? own
  const generations = between(parts.generations)
  const sessions = createSessions({ generations, archive })
  const model = new ScriptedModel()
  const asks = createAsks({
    generations,
    sessions,
    archive,
    model,
    limits: memoryLimits({ ...unlimited, ...options.limits }, Date.now),
    log: quietLog,
    nodeId: 'node-1',
    config: {
      chat: { ...chatDefault, ...options.chat },
      model: { ...modelsDefault, ...options.models },
    },
    ...(options.timing && { timing: options.timing }),
  })
  const steps = (sessionId: string) => readSteps(own.generations, sessionId)
  return {
    asks,
    sessions,
    generations: own.generations,
    hot,
    model,
    archive,
    dataDir,
    steps,
    async done(sessionId, messageId, timeoutMs = 4_000) {
      const find = async () => {
        const all = await steps(sessionId)
        return all.find((step) => step.type === 'done' && step.messageId === messageId)
      }
      return frameOf((await until(find, { timeoutMs })) as LogStep)
    },
    history: async (sessionId) => (await own.generations.snapshot(sessionId))?.history ?? [],
    records: () => hot.log.records(),
    events: () => hot.log.events(),
    async [Symbol.asyncDispose]() {
      await asks[Symbol.asyncDispose]()
      if (options.beside === undefined) await hot[Symbol.asyncDispose]()
      closed()
    },
  }
}

function openHot(dataDir: string): HotState {
  return hotParts({
    ...{ dataDir, limits: unlimited, chat: chatDefault },
    ...{ resumeTtlMs: 600_000, historyTtlMs: 3_600_000 },
    ...{ outboxMaxEvents: 1e6, outboxMaxBytes: 1e9 },
  })
}

export function frameOf(step: LogStep): Frame {
  if (step.type === 'chunk') return { ...step }
  return JSON.parse(`${step.frame},"seq":${step.seq}}`) as Frame
}

async function readSteps(generations: Generations, sessionId: string): Promise<LogStep[]> {
  const snapshot = await generations.snapshot(sessionId)
  if (snapshot === null) return []
  const steps: LogStep[] = []
  for (let seq = 0; seq < snapshot.seq; seq = steps.at(-1)?.seq ?? snapshot.seq) {
    const read = await generations.read(sessionId, { epoch: snapshot.epoch, seq }, 10_000, 1e7)
    if (read.is !== 'steps') throw new Error(`the log can't be read: ${JSON.stringify(read)}`)
    steps.push(...read.steps)
    if (read.steps.length === 0) break
  }
  return steps
}

/** What Postgres would know, as the test puts it there. */
export class PlainArchive implements Archive {
  readonly cold = new Map<string, ColdSession>()
  readonly messages = new Map<string, ArchivedMessage>()

  add(cold: ColdSession): void {
    this.cold.set(cold.sessionId, cold)
    const { sessionId, tenantId, userId } = cold
    for (const message of cold.messages) {
      const found = { sessionId, tenantId, userId, message, erased: false }
      this.messages.set(message.messageId, found)
    }
  }

  async owner(sessionId: string): Promise<SessionRef | null> {
    return this.cold.get(sessionId) ?? null
  }
  async session(sessionId: string): Promise<ColdSession | null> {
    return this.cold.get(sessionId) ?? null
  }
  async message(messageId: string): Promise<ArchivedMessage | null> {
    return this.messages.get(messageId) ?? null
  }
  async page(session: SessionRef, before: string | undefined, limit: number) {
    const all = [...this.messages.values()]
      .filter(({ sessionId }) => sessionId === session.sessionId)
      .map(({ message }) => message)
    const end = all.findIndex(({ messageId }) => messageId === before)
    const older = end === -1 ? all : all.slice(0, end)
    return { messages: older.slice(-limit), hasOlder: older.length > limit }
  }
  async sessions() {
    return { sessions: [], hasOlder: false }
  }
  async setTitle(): Promise<void> {
    throw new Error('no test sets a title here')
  }
  async search() {
    return []
  }
}

const unlimited: LimitsConfig = {
  chatsPerMinute: 0,
  requestsPerMinute: 0,
  generationsPerUser: 0,
  connectionsPerUser: 0,
  connections: 0,
}

const chatDefault: ChatConfig = {
  maxContentBytes: 32_768,
  maxAnswerBytes: 524_288,
  eventContent: 'full',
  chunkEventMs: 1_000,
  generationTimeoutMs: 60_000,
  onAbandon: 'continue',
  abandonGraceMs: 120_000,
  contextMessages: 20,
  contextBytes: 32_768,
}

const modelsDefault: ModelConfig = {
  openai: null,
  name: 'demo',
  names: ['demo', 'other'],
  systemPrompt: null,
  isSystemPromptAllowed: false,
  upstreamIdleMs: 60_000,
}
