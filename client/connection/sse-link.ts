import { errorOf, type Fetch, messageOf } from '../rest.ts'
import { type Link, type LinkEnd, type LinkListener, parseFrame } from './link.ts'
import { SseParser } from './sse-parser.ts'

export interface SseLinkOptions {
  fetch: Fetch
  /** Absolute, without the cursor: that goes by `Last-Event-ID`. */
  url: string
  cursor: string | null
  token: string | undefined
  listener: LinkListener
}

/** SSE read by streaming fetch: `EventSource` can neither send a token nor tell why it failed. */
export function openSse({ fetch, url, cursor, token, listener }: SseLinkOptions): Link {
  const abort = new AbortController()
  let retryMs: number | undefined
  const read = async (): Promise<LinkEnd> => {
    const response = await fetch(url, {
      signal: abort.signal,
      credentials: 'include',
      cache: 'no-store',
      headers: {
        accept: 'text/event-stream',
        ...(cursor !== null && { 'last-event-id': cursor }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    })
    if (!response.ok) {
      const { message, details } = await errorOf(response)
      return { message, status: response.status, ...retryOf(details.retryAfterMs) }
    }
    const type = response.headers.get('content-type') ?? ''
    if (!type.startsWith('text/event-stream') || response.body === null) {
      return { message: 'What answered is not the event stream.' }
    }
    await pump(response.body)
    return { message: 'The stream ended.', ...retryOf(retryMs) }
  }
  const pump = async (body: ReadableStream<Uint8Array>) => {
    const parser = new SseParser(
      ({ data }) => {
        if (abort.signal.aborted) return
        const frame = parseFrame(data)
        if (frame === null) throw new TypeError('The server sent something that is no frame.')
        listener.frame(frame)
      },
      (ms) => {
        retryMs = ms
      },
    )
    const decoder = new TextDecoder()
    const reader = body.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done || abort.signal.aborted) return
      listener.alive()
      parser.push(decoder.decode(value, { stream: true }))
    }
  }
  const finish = (end: LinkEnd) => {
    if (abort.signal.aborted) return
    abort.abort()
    listener.end(end)
  }
  read().then(
    (end) => finish(end),
    (error: unknown) => finish({ message: messageOf(error), ...retryOf(retryMs) }),
  )
  return {
    transport: 'sse',
    send: () => false,
    close: () => abort.abort(),
  }
}

function retryOf(ms: number | undefined): { retryAfterMs?: number } {
  return ms === undefined ? {} : { retryAfterMs: ms }
}
