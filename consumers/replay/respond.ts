import type { Clock } from '../clock.ts'
import { limitDefault } from './params.ts'
import type { Outgoing, Replay } from './replay.ts'
import type { ReplayRequest } from './replay-request.ts'
import type { ReplayedEvent } from './replayed.ts'

export interface Sent {
  count: number
  complete: boolean
  outcome: 'completed' | 'cancelled' | 'failed'
}

export interface RespondInput {
  request: ReplayRequest
  replay: Replay
  clock: Clock
  /** Aborted once the caller has gone. */
  gone: AbortController
  /** Called once, with what was sent. */
  finished(sent: Sent): Promise<void>
  failed(error: unknown): void
}

const pieceBytes = 32 * 1024
const pingEveryMs = 15_000
const encoder = new TextEncoder()

const typeOf = {
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  sse: 'text/event-stream',
} as const

/** The replay as the caller wants it. */
export async function respond(input: RespondInput): Promise<Response> {
  const headers = { 'content-type': typeOf[input.request.format], 'cache-control': 'no-store' }
  if (input.request.format === 'json') {
    return new Response(JSON.stringify(await bodyOf(input)), { headers })
  }
  const isSse = input.request.format === 'sse'
  const pieces = isSse ? sse(input) : ndjson(input)
  return new Response(streamOf(pieces, input.gone), {
    headers: isSse
      ? { ...headers, 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' }
      : headers,
  })
}

async function bodyOf({ request, replay, finished }: RespondInput): Promise<object> {
  const limit = request.limit ?? limitDefault
  const events: ReplayedEvent[] = []
  let rest: Outgoing | null = null
  try {
    for await (const outgoing of replay.events) {
      if (events.length === limit) {
        rest = outgoing
        break
      }
      events.push(outgoing.event)
    }
  } catch (error) {
    await finished({ count: events.length, complete: false, outcome: 'failed' })
    throw error
  }
  const { complete } = replay.end()
  const body = replay.body(events, rest)
  await finished({ count: events.length, complete, outcome: 'completed' })
  return body
}

async function* ndjson(input: RespondInput): AsyncGenerator<string> {
  let piece = ''
  for await (const part of sent(input, ({ event }) => `${JSON.stringify(event)}\n`)) {
    if (part.is === 'end') piece += `${JSON.stringify({ _replayEnd: part.end })}\n`
    else if (part.is === 'event') piece += part.text
    else throw part.error
    if (piece.length < pieceBytes) continue
    yield piece
    piece = ''
  }
  yield piece
}

async function* sse(input: RespondInput): AsyncGenerator<string> {
  const { clock, gone, request } = input
  let piece = 'retry: 1000\n\n'
  let startMs: number | null = null
  for await (const part of sent(input, sseFrame)) {
    if (part.is === 'event' && request.speed > 0) {
      yield piece
      piece = ''
      startMs ??= clock.now() - part.timeMs / request.speed
      const dueMs = startMs + part.timeMs / request.speed
      for (let left = dueMs - clock.now(); left > 0; left = dueMs - clock.now()) {
        await clock.sleep(Math.min(left, pingEveryMs), gone.signal)
        gone.signal.throwIfAborted()
        if (dueMs > clock.now()) yield ': ping\n\n'
      }
    }
    if (part.is === 'event') piece += part.text
    else if (part.is === 'end') piece += `event: end\ndata: ${JSON.stringify(part.end)}\n\n`
    else piece += `event: error\ndata: ${JSON.stringify(unavailable)}\n\n`
    if (piece.length < pieceBytes) continue
    yield piece
    piece = ''
  }
  yield piece
}

const unavailable = { code: 'unavailable', message: 'the replay broke off', temporary: true }

function sseFrame({ type, id, event }: Outgoing): string {
  return `event: ${type}\n${id === null ? '' : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`
}

interface End {
  count: number
  complete: boolean
  missing: object[]
  truncated?: true
}

type Part =
  | { is: 'event'; text: string; timeMs: number }
  | { is: 'end'; end: End }
  | { is: 'broken'; error: unknown }

/** The events as text, then how it ended. */
async function* sent(
  { request, replay, gone, finished, failed }: RespondInput,
  text: (outgoing: Outgoing) => string,
): AsyncGenerator<Part> {
  let count = 0
  let isCut = false
  let outcome: Sent['outcome'] = 'cancelled'
  try {
    for await (const outgoing of replay.events) {
      isCut = count === request.limit
      if (isCut) break
      yield { is: 'event', text: text(outgoing), timeMs: outgoing.timeMs }
      count += 1
    }
    outcome = 'completed'
    yield { is: 'end', end: { count, ...replay.end(), ...(isCut && { truncated: true }) } }
  } catch (error) {
    if (gone.signal.aborted) throw error
    outcome = 'failed'
    failed(error)
    yield { is: 'broken', error }
  } finally {
    const complete = outcome === 'completed' && replay.end().complete
    await finished({ count, complete, outcome })
  }
}

function streamOf(
  pieces: AsyncGenerator<string>,
  gone: AbortController,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await pieces.next()
        if (piece.done) controller.close()
        else controller.enqueue(encoder.encode(piece.value))
      },
      async cancel() {
        gone.abort()
        await pieces.return(undefined)
      },
    },
    { highWaterMark: 1 },
  )
}
