import { sseEvents } from './sse.ts'

/** The server refused, or broke off. */
export class ReplayFailed extends Error {
  override name = 'ReplayFailed'
  /** The command was to blame. */
  readonly isUsage: boolean
  constructor(message: string, isUsage = false, options?: ErrorOptions) {
    super(message, options)
    this.isUsage = isUsage
  }
}

export interface Call {
  url: string
  path: string
  token: string | null
  cursor: string | null
}

export interface End {
  count: number
  complete: boolean
  missing: unknown[]
}

export type Arrival =
  | { is: 'event'; event: Record<string, unknown>; cursor: string }
  | { is: 'end'; end: End }

/** The answer as one JSON text. */
export async function replayJson(call: Call, signal: AbortSignal): Promise<string> {
  return (await ask(call, 'application/json', signal)).text()
}

/** The events one by one, then the end; throws `ReplayFailed` when it breaks off before that. */
export async function* replayStream(call: Call, signal: AbortSignal): AsyncGenerator<Arrival> {
  const response = await ask(call, 'text/event-stream', signal)
  for await (const { event, id, data } of sseEvents(response.body ?? new Blob().stream())) {
    if (event === 'error') throw new ReplayFailed(`the server says: ${data}`)
    if (event === 'end') {
      yield { is: 'end', end: JSON.parse(data) as End }
      return
    }
    yield { is: 'event', event: JSON.parse(data) as Record<string, unknown>, cursor: id }
  }
  throw new ReplayFailed('the server broke off')
}

async function ask(call: Call, accept: string, signal: AbortSignal): Promise<Response> {
  const url = new URL(call.path, call.url)
  if (call.cursor !== null) url.searchParams.set('cursor', call.cursor)
  const headers = {
    accept,
    ...(call.token !== null && { authorization: `Bearer ${call.token}` }),
  }
  let response: Response
  try {
    response = await fetch(url, { headers, signal })
  } catch (cause) {
    throw new ReplayFailed(`no server at ${call.url}`, false, { cause })
  }
  if (response.ok) return response
  const body = await response.text()
  throw new ReplayFailed(`${response.status}: ${messageOf(body)}`, response.status === 400)
}

function messageOf(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: { code?: string; message?: string } }
    return error === undefined ? body : `${error.code}: ${error.message}`
  } catch {
    return body
  }
}
