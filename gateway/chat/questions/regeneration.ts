import type {
  Generations,
  SessionRef,
  Snapshot,
  StoredMessage,
} from '../../generations/generations.ts'
import type { Archive } from '../archive.ts'
import { ContractError } from '../errors.ts'
import { reached } from '../reached.ts'

export interface RegenerationDeps {
  generations: Generations
  archive: Archive
  /** How many messages the model is told at most. */
  contextMessages: number
}

/** The question of an answer, and what came before it. */
export interface Asked {
  question: StoredMessage
  before: StoredMessage[]
}

/** What `regenerate` names; `not_found` unless it is an answer of this session whose question is known. */
export async function askedBefore(
  deps: RegenerationDeps,
  snapshot: Snapshot,
  answerId: string,
): Promise<Asked> {
  const { history } = snapshot
  const answer = history.find(({ messageId }) => messageId === answerId)
  if (answer !== undefined && answer.role !== 'assistant') throw noSuchAnswer()
  const questionId = answer?.parentMessageId ?? (await questionOf(deps, snapshot, answerId))
  const at = history.findIndex(({ messageId }) => messageId === questionId)
  const question = history[at] ?? (await archivedQuestion(deps, snapshot, questionId))
  // Kept without its text (EVENT_CONTENT=none), so there is nothing to ask again.
  if (question.content === '') throw noSuchAnswer()
  const before = at === -1 ? [] : history.slice(0, at)
  const missing = deps.contextMessages - before.length
  if (missing <= 0 || (at !== -1 && !snapshot.hasOlder)) return { question, before }
  const oldest = before[0]?.messageId ?? questionId
  const page = await deps.archive.page(snapshot, oldest, missing)
  return { question, before: [...page.messages, ...before] }
}

async function questionOf(
  { generations, archive }: RegenerationDeps,
  session: SessionRef,
  answerId: string,
): Promise<string> {
  const hot = await reached(() => generations.find(answerId))
  if (hot !== null) {
    if (hot.sessionId !== session.sessionId || hot.erased) throw noSuchAnswer()
    return hot.userMessageId
  }
  const cold = await archive.message(answerId)
  const questionId = cold?.message.parentMessageId
  const isAnswer = cold?.message.role === 'assistant' && !cold.erased
  if (!isAnswer || cold.sessionId !== session.sessionId || questionId === undefined) {
    throw noSuchAnswer()
  }
  return questionId
}

async function archivedQuestion(
  { archive }: RegenerationDeps,
  session: SessionRef,
  questionId: string,
): Promise<StoredMessage> {
  const cold = await archive.message(questionId)
  if (cold === null || cold.erased || cold.sessionId !== session.sessionId) throw noSuchAnswer()
  return cold.message
}

function noSuchAnswer(): ContractError {
  return new ContractError('not_found', 'regenerate must name an answer of this session', {
    field: 'regenerate',
  })
}
