import { uuidv7 } from '#runtime/ids.ts'
import type { ChatConfig, ModelConfig } from '../../config.ts'
import type { Generations, SessionRef, Snapshot } from '../../generations/generations.ts'
import type { Begin, BeginResult } from '../../generations/steps.ts'
import type { Limits } from '../../limits/limits.ts'
import type { ModelMessage, ModelRequest } from '../../models/model.ts'
import type { Job } from '../answers/job.ts'
import type { Archive } from '../archive.ts'
import type { Accepted, Ask, Who } from '../asks.ts'
import { ContractError } from '../errors.ts'
import { reached, unavailable } from '../reached.ts'
import { type Sessions, sessionOf } from '../sessions.ts'
import { contextOf, modelMessages } from './context.ts'
import { type Draft, firstStep } from './first-step.ts'
import { checkQuestion, digestOf, type Question } from './question.ts'
import { askedBefore } from './regeneration.ts'
import { type AskTrace, traceAnswer } from './trace.ts'

export interface AskingDeps {
  generations: Generations
  sessions: Sessions
  archive: Archive
  limits: Limits
  nodeId: string
  config: {
    chat: ChatConfig
    model: Pick<ModelConfig, 'name' | 'names' | 'systemPrompt' | 'isSystemPromptAllowed'>
  }
  leaseMs: number
  now: () => number
  isDraining: () => boolean
  /** An accepted question: its answer begins. */
  started: (job: Job) => void
}

export type AskQuestion = (who: Who, ask: Ask) => Promise<Accepted>

/** Questions with the same request key come one after the other, so that the second is answered as a duplicate. */
export function asking(deps: AskingDeps): AskQuestion {
  const underWay = new Map<string, Promise<Accepted>>()
  return async (who, ask) => {
    const { sessionId, requestId } = ask
    if (sessionId === undefined || requestId === undefined) return askOne(deps, who, ask)
    const key = JSON.stringify([who.tenantId, who.userId, sessionId, requestId])
    const next = () => askOne(deps, who, ask)
    const own = underWay.get(key)?.then(next, next) ?? next()
    underWay.set(key, own)
    try {
      return await own
    } finally {
      if (underWay.get(key) === own) underWay.delete(key)
    }
  }
}

async function askOne(deps: AskingDeps, who: Who, ask: Ask): Promise<Accepted> {
  const sessionId = ask.sessionId ?? uuidv7(deps.now())
  const session = sessionOf(who, sessionId)
  const digest = digestOf(ask)
  const duplicate = await duplicateOf(deps, session, { ask, digest })
  if (duplicate !== null) return duplicate

  const question = checkQuestion(ask, deps.config)
  if (deps.isDraining()) throw unavailable('this node is being shut down')
  await deps.sessions.open(who, sessionId, { isNew: ask.sessionId === undefined })
  const snapshot = await reached(() => deps.generations.snapshot(sessionId))
  if (snapshot === null) throw unavailable('hot state has lost the session')
  if (snapshot.active !== null) {
    // Another node may have taken the same key since.
    const raced = await duplicateOf(deps, session, { ask, digest })
    if (raced !== null) return raced
    throw inProgress(snapshot.active.messageId)
  }
  const asked = await askedOf(deps, snapshot, question)
  await deps.limits.chat(who)
  const slot = await deps.limits.generate(who)
  try {
    const draft = { session, ask, digest, question, ...asked }
    const accepted = await begin(deps, draft, { snapshot, slot })
    if (accepted.duplicate) slot.release()
    return accepted
  } catch (error) {
    slot.release()
    throw error
  }
}

/** A known request key is answered before all other checks. */
async function duplicateOf(
  { generations }: AskingDeps,
  session: SessionRef,
  { ask, digest }: { ask: Ask; digest: string },
): Promise<Accepted | null> {
  const { requestId } = ask
  if (requestId === undefined) return null
  const known = await reached(() => generations.request(session, requestId))
  if (known === null) return null
  if (known.digest !== digest) throw conflict()
  return accepted(session, known, true)
}

/** What the model is told before the question, and with `regenerate` the question itself. */
async function askedOf(
  { generations, archive, config }: AskingDeps,
  snapshot: Snapshot,
  { regenerate }: Question,
): Promise<Pick<Draft, 'standing' | 'context'>> {
  const { chat } = config
  if (regenerate === undefined) {
    return { standing: null, context: contextOf(snapshot.history, chat) }
  }
  const { contextMessages } = chat
  const deps = { generations, archive, contextMessages }
  const { question, before } = await askedBefore(deps, snapshot, regenerate)
  return { standing: question, context: contextOf(before, chat) }
}

async function begin(
  deps: AskingDeps,
  draft: Draft,
  { snapshot, slot }: { snapshot: Snapshot; slot: Job['slot'] },
): Promise<Accepted> {
  const trace = traceAnswer(draft.ask.traceparent)
  const step = firstStep(deps, draft, trace)
  const { session } = draft
  try {
    const result = await reached(() => deps.generations.begin(step))
    const isOurs = result.is === 'already' && result.messageId === step.messageId
    if (result.is !== 'applied' && !isOurs) {
      trace.span.end()
      return refusedOrDuplicate(session, result)
    }
    // Another tab may have asked and been answered since the snapshot.
    const isDense =
      result.is === 'applied' && result.epoch === snapshot.epoch && result.seq === snapshot.seq + 1
    const isStale = draft.standing === null && !isDense
    const context = isStale ? await contextAgain(deps, step) : draft.context
    deps.started({ begin: step, request: requestOf(draft, step, { context, trace }), slot, trace })
    return accepted(session, step, false)
  } catch (error) {
    trace.span.end()
    throw error
  }
}

async function contextAgain(deps: AskingDeps, step: Begin): Promise<ModelMessage[]> {
  const snapshot = await reached(() => deps.generations.snapshot(step.session.sessionId))
  const before = (snapshot?.history ?? []).filter(
    ({ messageId }) => messageId !== step.userMessageId && messageId !== step.messageId,
  )
  return contextOf(before, deps.config.chat)
}

function requestOf(
  { question, standing }: Draft,
  step: Begin,
  { context, trace }: { context: ModelMessage[]; trace: AskTrace },
): ModelRequest {
  const { system, temperature, maxTokens, model } = question
  const content = standing?.content ?? question.content
  return {
    messageId: step.messageId,
    model,
    messages: modelMessages(system, context, content),
    ...(temperature !== undefined && { temperature }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(trace.traceparent !== undefined && { traceparent: trace.traceparent }),
  }
}

function refusedOrDuplicate(session: SessionRef, result: BeginResult): Accepted {
  switch (result.is) {
    case 'already':
      return accepted(session, result, true)
    case 'conflict':
      throw conflict()
    case 'busy':
      throw inProgress(result.messageId)
    case 'forbidden':
      throw new ContractError('forbidden', 'the session belongs to another user')
    case 'full':
      throw unavailable(`nothing new begins: ${result.reason}`)
    case 'absent':
    case 'applied':
      throw unavailable('hot state has lost the session')
  }
}

function accepted(
  { sessionId }: SessionRef,
  { messageId, userMessageId }: { messageId: string; userMessageId: string },
  duplicate: boolean,
): Accepted {
  return { messageId, userMessageId, sessionId, conversationId: sessionId, duplicate }
}

function conflict(): ContractError {
  return new ContractError(
    'idempotency_conflict',
    'this key was used with other content in this session',
  )
}

function inProgress(messageId: string): ContractError {
  return new ContractError('generation_in_progress', 'an answer of this session is being made', {
    messageId,
  })
}
