import { isUuid } from '#runtime/ids.ts'
import type { Archive } from '../chat/archive.ts'
import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import { reached } from '../chat/reached.ts'
import { isTheirs } from '../chat/sessions.ts'
import { answerFrames, doneSeqOf } from '../chat/viewers/answer-frames.ts'
import { AnswerViewer } from '../chat/viewers/answer-viewer.ts'
import type { Viewers } from '../chat/viewers/viewers.ts'
import type { Generation, SessionRef, StoredMessage } from '../generations/generations.ts'
import type { Limits } from '../limits/limits.ts'
import { isToldInStream, lastEventIdOf } from './sse-chat.ts'
import { parseCursor } from './stream/cursor.ts'
import { draining, EventStream, refusedStream } from './stream/event-stream.ts'
import { framesResponse } from './stream/frames-response.ts'

export interface MessageStreamDeps {
  viewers: Viewers
  archive: Archive
  limits: Limits
}

/** What is known of an answer that is no longer in hot state. Its place is made up, so that its ids still end a stream. */
const archivedPlace = { epoch: 0, startedSeq: 0 }

/**
 * `GET /api/messages/:messageId/stream`: one answer from chunk 0, or after `Last-Event-ID`, to its `done`; 204 for who
 * has seen that. Rejects with `not_found`, `forbidden`, `gone`,
 * and with what `enter` does, but for overload.
 */
export function messageStream(
  deps: MessageStreamDeps,
): (request: Request, enter: () => Promise<Who>, messageId: string) => Promise<Response> {
  const { viewers, archive, limits } = deps
  return async (request, enter, messageId) => {
    if (viewers.isDraining) return refusedStream(viewers, draining())
    const who = await orOverload(enter)
    if (isToldInStream(who)) return refusedStream(viewers, who)
    if (!isUuid(messageId)) throw notFound()
    const cursorText = lastEventIdOf(request, new URL(request.url))
    const generation = await reached(() => viewers.generations.find(messageId))
    if (generation !== null) checkTheirs(who, generation, generation.erased)
    if (generation === null || (generation.outcome !== undefined && !generation.message)) {
      return archived(await theirs(archive, who, messageId), cursorText)
    }
    const afterSeq = await placeOf(viewers, generation, cursorText)
    if (afterSeq === null) return new Response(null, { status: 204 })
    const slot = await orOverload(() => limits.connect(who))
    if (isToldInStream(slot)) return refusedStream(viewers, slot)
    const stream = new EventStream({ viewers, who, slot, connection: 0 })
    const wanted = { generation, afterSeq, hasStarted: false, isCounted: true }
    return answerResponse(viewers, stream, wanted)
  }
}

/** What is told in the stream, for a status would stop an `EventSource`, is returned; all else is thrown. */
async function orOverload<T>(run: () => Promise<T>): Promise<T | ContractError> {
  try {
    return await run()
  } catch (error) {
    if (isToldInStream(error)) return error
    throw error
  }
}

type Wanted = ConstructorParameters<typeof AnswerViewer>[2]

/** The stream of one answer, watched from now on. */
export function answerResponse(viewers: Viewers, stream: EventStream, wanted: Wanted): Response {
  const response = stream.open()
  const { sessionId, tenantId, userId } = wanted.generation
  const viewer = new AnswerViewer(viewers.room(sessionId), stream, wanted)
  stream.viewer = viewer
  viewers.join(viewer, { sessionId, tenantId, userId })
  return response
}

/** The step after which the client wants the answer; null: it has seen the end. */
async function placeOf(
  { generations }: Viewers,
  generation: Generation,
  cursorText: string | null,
): Promise<number | null> {
  const { sessionId, epoch, startedSeq } = generation
  const cursor = cursorText === null ? null : parseCursor(cursorText)
  if (cursor === null || cursor.epoch !== epoch || cursor.seq <= startedSeq) return startedSeq
  const read = await reached(() => generations.read(sessionId, cursor, 1, 1))
  if (read.is === 'snapshot' && read.reason === 'ahead') return startedSeq
  const isOver = generation.outcome !== undefined && cursor.seq >= doneSeqOf(generation)
  return isOver ? null : cursor.seq
}

async function theirs(archive: Archive, who: Who, messageId: string): Promise<StoredMessage> {
  const found = await archive.message(messageId)
  if (found === null || found.message.role !== 'assistant') throw notFound()
  checkTheirs(who, found, found.erased)
  return found.message
}

function archived(message: StoredMessage, cursorText: string | null): Response {
  const cursor = cursorText === null ? null : parseCursor(cursorText)
  const frames = answerFrames(message, archivedPlace)
  const doneSeq = frames.at(-1)?.seq ?? 0
  const isOver = cursor?.epoch === archivedPlace.epoch && cursor.seq >= doneSeq
  return isOver ? new Response(null, { status: 204 }) : framesResponse(frames)
}

function checkTheirs(who: Who, session: SessionRef, isErased: boolean): void {
  if (!isTheirs(who, session)) {
    throw new ContractError('forbidden', 'The message belongs to another user.')
  }
  if (isErased) throw new ContractError('gone', 'The message has been erased.')
}

function notFound(): ContractError {
  return new ContractError('not_found', 'There is no such answer.')
}
