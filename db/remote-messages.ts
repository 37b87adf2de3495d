import type { RowShape } from './client.ts'

/** A `Worker`, a worker's own scope or a `MessagePort`. Others may use it too: what isn't tagged ours is left alone. */
export interface Port {
  postMessage(message: unknown): void
  addEventListener(type: 'message', listener: (event: MessageEvent) => void): void
  removeEventListener(type: 'message', listener: (event: MessageEvent) => void): void
}

export interface Statement {
  is: 'statement'
  id: string
  text: string
  params: unknown[]
  shape: RowShape
}

export type ToHost = { is: 'hello' } | Statement

export type FromHost =
  | { is: 'ready' }
  | { is: 'rows'; id: string; rows: unknown[] }
  | { is: 'failed'; id: string; error: SentError }
  | { is: 'closed'; reason: string }

/** What crosses of an error: enough to tell whose fault it is. */
export interface SentError {
  name: string
  message: string
  code?: string
  cause?: SentError
}

const tag = 'sluice-database'

export function sendTo<Message extends ToHost | FromHost>(port: Port, message: Message): void {
  port.postMessage({ [tag]: message })
}

/** Calls `hear` for each message of ours until the answer is called. */
export function listenTo<Message extends ToHost | FromHost>(
  port: Port,
  hear: (message: Message) => void,
): () => void {
  const listener = ({ data }: MessageEvent) => {
    if (typeof data === 'object' && data !== null && tag in data) hear(data[tag])
  }
  port.addEventListener('message', listener)
  return () => port.removeEventListener('message', listener)
}
