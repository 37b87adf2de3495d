import { createHash } from 'node:crypto'
import { isUuid } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import type { Archive } from '../chat/archive.ts'
import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import { reached, unavailable } from '../chat/reached.ts'
import { isTheirs } from '../chat/sessions.ts'
import type {
  ChunkKind,
  Generation,
  Generations,
  SessionRef,
  StoredMessage,
} from '../generations/generations.ts'
import type { Entry } from './entry.ts'

export interface MessageDeps {
  entry: Entry
  generations: Generations
  archive: Archive
  /** `EVENT_CONTENT` is `full`: what hot state no longer has comes to the archive. */
  isTextKept: boolean
}

const readSteps = 5_000
const readBytes = 1_048_576

/** `GET /api/messages/:messageId` */
export function getMessage(
  deps: MessageDeps,
): (request: Request, messageId: string) => Promise<Response> {
  return async (request, messageId) => {
    const who = await deps.entry.enter(request)
    return Response.json(await messageOf(deps, who, messageId))
  }
}

async function messageOf(deps: MessageDeps, who: Who, messageId: string): Promise<object> {
  const { generations, archive } = deps
  if (!isUuid(messageId)) throw notFound()
  const generation = await reached(() => generations.find(messageId))
  if (generation !== null) {
    checkTheirs(who, generation)
    if (generation.erased) throw gone()
    if (generation.message !== undefined) return finished(generation, generation.message)
    if (generation.status !== 'finished') {
      const running = await runningMessage(generations, generation)
      if (running !== null) return running
      // It has ended, or was erased, between the two reads.
      const again = await reached(() => generations.find(messageId))
      if (again?.erased) throw gone()
      if (again?.message !== undefined) return finished(again, again.message)
    }
  }
  const archived = await archive.message(messageId)
  if (archived === null) {
    throw generation !== null && deps.isTextKept
      ? unavailable('The answer is on its way.')
      : notFound()
  }
  checkTheirs(who, archived)
  if (archived.message.role !== 'assistant') throw notFound()
  if (archived.erased) throw gone()
  return finished(archived, archived.message)
}

function checkTheirs(who: Who, session: SessionRef): void {
  if (!isTheirs(who, session)) {
    throw new ContractError('forbidden', 'The message belongs to another user.')
  }
}

function notFound(): ContractError {
  return new ContractError('not_found', 'There is no such answer.')
}

function gone(): ContractError {
  return new ContractError('gone', 'The message has been erased.')
}

function finished(session: SessionRef, message: StoredMessage): object {
  const { messageId, conversationId, parentMessageId, outcome, content, parts } = message
  return {
    messageId,
    sessionId: session.sessionId,
    conversationId,
    userMessageId: parentMessageId,
    status: 'finished',
    outcome,
    text: content,
    parts,
    chunks: message.chunks ?? 0,
    length: message.length ?? content.length,
    sha256: message.sha256 ?? sha256Of(content),
    model: message.model,
    finishReason: message.finishReason,
    usage: message.usage,
    error: message.error,
    createdAt: message.createdAt,
    finishedAt: message.finishedAt,
  }
}

/** The text so far, from the log; null when it no longer runs. */
async function runningMessage(
  generations: Generations,
  generation: Generation,
): Promise<object | null> {
  const { sessionId, messageId, userMessageId, epoch, startedSeq, status } = generation
  const parts: { part: number; kind: ChunkKind; text: string }[] = []
  let chunks = 0
  let seq = startedSeq
  while (chunks < generation.next) {
    const after = { epoch, seq }
    const read = await reached(() => generations.read(sessionId, after, readSteps, readBytes))
    if (read.is !== 'steps' || read.steps.length === 0) return null
    for (const step of read.steps) {
      if (step.type !== 'chunk' || step.messageId !== messageId) return null
      chunks += 1
      seq = step.seq
      const last = parts.at(-1)
      if (last?.part === step.part) last.text += step.text
      else parts.push({ part: step.part, kind: step.kind, text: step.text })
      if (chunks >= generation.next) break
    }
  }
  const text = parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')
  const isPlain = parts.every((part) => part.kind === 'text') && parts.length <= 1
  return {
    messageId,
    sessionId,
    conversationId: sessionId,
    userMessageId,
    status,
    text,
    ...(!isPlain && { parts }),
    chunks,
    length: text.length,
    sha256: sha256Of(text),
    model: generation.model,
    createdAt: iso(generation.createdAtMs),
  }
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
