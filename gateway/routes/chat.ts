import { z } from 'zod'
import type { Accepted, Ask, Asks, Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import { askFields, askOf } from './ask-fields.ts'
import type { Entry } from './entry.ts'
import { bodyOf, id, idOf, parse, shortText } from './parse.ts'

export interface ChatDeps {
  entry: Entry
  asks: Asks
  /** For `Accept: text/event-stream`: the frames `accepted` … `done`. Closing it never cancels. */
  streamAnswer(request: Request, who: Who, accepted: Accepted): Promise<Response>
  maxContentBytes: number
}

const Chat = z.object({
  ...askFields,
  sessionId: id().optional(),
  userId: shortText(256).optional(),
  message: z.string({ error: 'must be a text' }).optional(),
})

/** `POST /api/chat` */
export function postChat(deps: ChatDeps): (request: Request) => Promise<Response> {
  // Escaped, a byte of text is up to six of JSON; the rest has limits of its own, far below this.
  const bodyBytesMax = deps.maxContentBytes * 6 + 131_072
  return async (request) => {
    const { who, body } = await deps.entry.enterWith(request, async () => {
      const parsed = parse(Chat, named(await bodyOf(request, bodyBytesMax)))
      return { body: parsed, named: parsed.userId }
    })
    const requestId = keyOf(request)
    const traceparent = request.headers.get('traceparent')
    const ask: Ask = {
      ...askOf(body, { field: 'message', content: body.message }),
      ...(body.sessionId !== undefined && { sessionId: body.sessionId }),
      ...(requestId !== undefined && { requestId }),
      ...(traceparent !== null && { traceparent }),
    }
    const accepted = await deps.asks.ask(who, ask).catch(asBody)
    if (wantsStream(request)) return deps.streamAnswer(request, who, accepted)
    return Response.json({ status: 'streaming', ...accepted }, { status: 202 })
  }
}

/** The usage guide's spelling beside ours. */
function named(body: Record<string, unknown>): Record<string, unknown> {
  const { session_id: sessionId, user_id: userId, ...rest } = body
  return {
    ...(sessionId !== undefined && { sessionId }),
    ...(userId !== undefined && { userId }),
    ...rest,
  }
}

function keyOf(request: Request): string | undefined {
  const key = request.headers.get('idempotency-key')
  return key === null ? undefined : idOf(key, 'Idempotency-Key')
}

/** The question's text is `content` in a frame and `message` here. */
function asBody(error: unknown): never {
  if (error instanceof ContractError && error.details.field === 'content') {
    const message = error.message.replace(/^content\b/, 'message')
    throw new ContractError(error.code, message, { ...error.details, field: 'message' })
  }
  throw error
}

function wantsStream(request: Request): boolean {
  return (request.headers.get('accept') ?? '').includes('text/event-stream')
}
