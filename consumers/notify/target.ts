import type { EventOf } from '#events/event.ts'
import { Away } from '../away.ts'

export type StreamErrorEvent = EventOf<'STREAM_ERROR'>

/** Somebody who is told of a failed answer. */
export interface Target {
  name: string
  /**
   * Resolves once it has taken the event, which may come again. Rejects with `Away` when it may take it later, with
   * anything else when it never will.
   */
  send(event: StreamErrorEvent, signal: AbortSignal): Promise<void>
}

/** A notification in words, without anything that somebody wrote in a chat. */
export function sentenceOf({ sessionId, errorType, error, outcome }: StreamErrorEvent): string {
  return `Session ${sessionId} ${outcome}: ${errorType} (${error})`
}

const timeoutMs = 10_000
// What a server says of itself rather than of the request.
const temporary: ReadonlySet<number> = new Set([408, 425, 429])

/** POSTs JSON; a status of 400 to 499 (but 408, 425 and 429) is final. */
export async function postJson(
  url: string,
  {
    body,
    headers = {},
    signal,
  }: { body: string; headers?: Record<string, string>; signal: AbortSignal },
): Promise<void> {
  let status: number
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      // A redirect would turn it into a GET.
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    })
    await response.arrayBuffer()
    status = response.status
  } catch (cause) {
    throw new Away(`is away: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
  if (status >= 200 && status < 300) return
  const message = `answered ${status}`
  if (status >= 400 && status < 500 && !temporary.has(status)) throw new Error(message)
  throw new Away(message)
}
