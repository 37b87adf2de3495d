import { ChatError } from './chat-error.ts'
import type { Tokens } from './connection/token.ts'
import type { ChatFrame, ErrorBody, HistoryMessage, Outcome } from './frames.ts'

export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface RestOptions {
  /** Absolute, ends with `/`. */
  base: string
  fetch: Fetch
  tokens: Tokens
}

/** What `POST /api/chat` answers, and the `accepted` frame. */
export interface Accepted {
  messageId: string
  userMessageId: string
  sessionId: string
  duplicate: boolean
}

export interface HistoryPage {
  messages: HistoryMessage[]
  nextBefore?: string
}

export interface Rest {
  chat(sessionId: string, frame: ChatFrame, signal?: AbortSignal): Promise<Accepted>
  cancel(messageId: string, signal?: AbortSignal): Promise<{ messageId: string; outcome: Outcome }>
  history(sessionId: string, before: string, signal?: AbortSignal): Promise<HistoryPage>
}

/** The REST calls of a chat. Each rejects with a `ChatError`. */
export function createRest(options: RestOptions): Rest {
  const call = <T>(path: string, init: RequestInit) => request<T>(options, path, init)
  return {
    chat(sessionId, frame, signal) {
      const { content, requestId, options: chatOptions, metadata, regenerate } = frame
      return call('api/chat', {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(requestId !== undefined && { 'idempotency-key': requestId }),
        },
        body: JSON.stringify({
          sessionId,
          message: content,
          options: chatOptions,
          metadata,
          regenerate,
        }),
        ...(signal && { signal }),
      })
    },
    cancel(messageId, signal) {
      return call('api/cancel', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messageId }),
        ...(signal && { signal }),
      })
    },
    history(sessionId, before, signal) {
      const query = new URLSearchParams({ before, limit: '50' })
      return call(`api/history/${encodeURIComponent(sessionId)}?${query}`, {
        ...(signal && { signal }),
      })
    },
  }
}

/** Any call of the gateway's REST API, with the token; a `ChatError` when it is refused. 204 is `undefined`. */
export async function request<T>(
  options: RestOptions,
  path: string,
  init: RequestInit,
): Promise<T> {
  const send = async (token: string | undefined) =>
    options.fetch(options.base + path, {
      ...init,
      credentials: 'include',
      headers: {
        ...(init.headers as Record<string, string> | undefined),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    })
  let response: Response
  try {
    response = await send(await options.tokens.get(Date.now(), 0))
    if (response.status === 401 && options.tokens.renewable) {
      await response.body?.cancel()
      response = await send(await options.tokens.renew())
    }
  } catch (error) {
    if (init.signal?.aborted) throw new ChatError('aborted', 'Given up by the caller.')
    throw new ChatError('network', `The server could not be reached: ${messageOf(error)}`)
  }
  if (!response.ok) throw await errorOf(response)
  if (response.status === 204) return undefined as T
  try {
    return (await response.json()) as T
  } catch {
    throw new ChatError('network', 'What answered is not the server.', { status: response.status })
  }
}

/** The contract's error body, or what an intermediary answered instead. */
export async function errorOf(response: Response): Promise<ChatError> {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN)
  const body: unknown = await response.json().catch(() => null)
  const error = (body as { error?: ErrorBody } | null)?.error
  const retry =
    Number.isFinite(seconds) && error?.retryAfterMs === undefined
      ? { retryAfterMs: seconds * 1000 }
      : {}
  if (typeof error === 'object' && error !== null && typeof error.code === 'string') {
    return ChatError.fromBody({ ...error, ...retry }, response.status)
  }
  return new ChatError('network', `The server answered ${response.status}.`, {
    status: response.status,
    temporary: response.status >= 500 || response.status === 429,
    ...retry,
  })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
