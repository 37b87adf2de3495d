import type { ErrorBody, FrameErrorCode } from './frames.ts'

/** The server's error codes, and what can go wrong on this side of the wire. */
export type ChatErrorCode =
  | FrameErrorCode
  /** The server could not be reached, or what answered was not the server. */
  | 'network'
  /** The chat was closed, here or for good by the server. */
  | 'closed'
  /** Given up by the caller before it was accepted. */
  | 'aborted'

export interface ChatErrorDetails {
  temporary?: boolean
  retryAfterMs?: number
  field?: string
  messageId?: string
  requestId?: string
  /** Of the WebSocket that was closed for good. */
  closeCode?: number
  /** Of the HTTP answer. */
  status?: number
}

/** Every failure that the client reports. `temporary`: the same may succeed later. */
export class ChatError extends Error {
  override name = 'ChatError'
  readonly code: ChatErrorCode
  readonly temporary: boolean
  readonly details: ChatErrorDetails
  constructor(code: ChatErrorCode, message: string, details: ChatErrorDetails = {}) {
    super(message)
    this.code = code
    this.temporary = details.temporary ?? code === 'network'
    this.details = details
  }

  static fromBody(body: ErrorBody, status?: number): ChatError {
    const { code, message, temporary, retryAfterMs, field, messageId, requestId } = body
    return new ChatError(code, message, {
      temporary,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(field !== undefined && { field }),
      ...(messageId !== undefined && { messageId }),
      ...(requestId !== undefined && { requestId }),
      ...(status !== undefined && { status }),
    })
  }
}
