import type { Archive } from '../chat/archive.ts'
import type { Accepted, Who } from '../chat/asks.ts'
import { reached, unavailable } from '../chat/reached.ts'
import { answerFrames } from '../chat/viewers/answer-frames.ts'
import { plainFrame } from '../chat/viewers/frame.ts'
import type { Viewers } from '../chat/viewers/viewers.ts'
import { answerResponse } from './message-stream.ts'
import { EventStream } from './stream/event-stream.ts'
import { framesResponse } from './stream/frames-response.ts'

export interface ChatStreamDeps {
  viewers: Viewers
  archive: Archive
}

/**
 * `POST /api/chat` with `Accept: text/event-stream`: `accepted`, then the answer's frames from chunk 0 to `done`, also
 * of a duplicate. Closing it never cancels.
 */
export function chatStream(
  deps: ChatStreamDeps,
): (request: Request, who: Who, accepted: Accepted) => Promise<Response> {
  const { viewers, archive } = deps
  return async (request, who, accepted) => {
    const { messageId } = accepted
    const requestId = request.headers.get('idempotency-key') ?? undefined
    const first = plainFrame({ type: 'accepted', ...accepted, ...(requestId && { requestId }) })
    const generation = await reached(() => viewers.generations.find(messageId))
    const isKept = generation !== null && (!generation.outcome || generation.message)
    if (!isKept || generation.erased) {
      const found = await archive.message(messageId)
      if (found === null || found.erased) throw unavailable('The answer is out of reach.')
      return framesResponse([first, ...answerFrames(found.message, { epoch: 0, startedSeq: 0 })])
    }
    const stream = new EventStream({ viewers, who, slot: null, connection: 0 })
    const afterSeq = generation.startedSeq - 1
    const wanted = { generation, afterSeq, hasStarted: true, isCounted: false }
    const response = answerResponse(viewers, stream, wanted)
    stream.write(first)
    return response
  }
}
