import type { ChatError } from './chat-error.ts'
import type { ConnectionState } from './connection/connection.ts'
import type { TransportName } from './connection/link.ts'
import type { ChatOptions, Metadata, Outcome } from './frames.ts'
import type { ChatMessage } from './message.ts'
import type { Accepted } from './rest.ts'

export interface SendOptions {
  /** The id of an answer to make anew; the text is not read then. */
  regenerate?: string
  options?: ChatOptions
  metadata?: Metadata
  /** Idempotency key; made when left out. */
  requestId?: string
}

/** What is known at an instant. A new object after each change, the same one in between. */
export interface ChatSnapshot {
  state: ConnectionState
  /** Why it is `closed`. */
  reason: ChatError | null
  transport: TransportName | null
  sessionId: string
  userId: string | null
  /** Everything of the session has come at least once. */
  isLoaded: boolean
  /** Oldest first; then the questions that are on their way. */
  messages: readonly ChatMessage[]
  /** The answer that is being made. */
  activeId: string | null
  /** A question is on its way to the server. */
  isSending: boolean
  hasOlder: boolean
}

export type ChatEvent =
  | { type: 'change' }
  /** A delta of an answer, once it is shown. */
  | { type: 'chunk'; messageId: string; kind: string; text: string }
  | { type: 'done'; message: ChatMessage }
  /** A failure that belongs to no call. */
  | { type: 'error'; error: ChatError }

export interface Chat {
  readonly sessionId: string
  snapshot(): ChatSnapshot
  /** Calls back after each change, until the returned function is called. */
  subscribe(listener: (event: ChatEvent) => void): () => void
  /** The same as an iterator; ends when the chat is closed or the signal aborts. */
  events(signal?: AbortSignal): AsyncGenerator<ChatEvent, void, undefined>
  /**
   * Resolves once the server has accepted it, whatever happens to the connection meanwhile; never asks twice.
   * Rejects with a `ChatError`; the question stays in `messages` as `unsent`, to be sent again or discarded.
   */
  send(text: string, options?: SendOptions): Promise<Accepted>
  retry(requestId: string): Promise<Accepted>
  discard(requestId: string): void
  /** Stops the answer in hand; the outcome that stands, null when there is none. */
  stop(): Promise<Outcome | null>
  /** The answer, once it has ended. */
  finished(messageId: string): Promise<ChatMessage>
  /** One more page of older messages. */
  loadOlder(): Promise<void>
  /** Tries to connect now. */
  reconnect(): void
  close(): void
}
