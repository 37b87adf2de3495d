/** Every error code of the contract, with its HTTP status. One spelling in frames, SSE and REST bodies. */
export const errorStatus = {
  invalid_request: 400,
  not_authenticated: 401,
  forbidden: 403,
  not_found: 404,
  generation_in_progress: 409,
  idempotency_conflict: 409,
  gone: 410,
  too_large: 413,
  rate_limited: 429,
  upstream_failed: 502,
  unavailable: 503,
} as const

export type ErrorCode = keyof typeof errorStatus

export interface ErrorDetails {
  field?: string
  messageId?: string
  requestId?: string
  /** With `rate_limited` and `unavailable`; at least 1,000 where it becomes a `Retry-After`. */
  retryAfterMs?: number
}

/** A failure that the client may see: `message` names the field and the limit, and nothing of another user. */
export class ContractError extends Error {
  override name = 'ContractError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.code = code
    this.details = details
  }

  get status(): number {
    return errorStatus[this.code]
  }

  /** Whether the same request may succeed later. */
  get temporary(): boolean {
    return (
      this.code === 'rate_limited' ||
      this.code === 'unavailable' ||
      this.code === 'upstream_failed' ||
      this.code === 'generation_in_progress'
    )
  }

  /** The body of a frame or of `{error: …}`. */
  toJSON(): ErrorDetails & { code: ErrorCode; message: string; temporary: boolean } {
    return { code: this.code, message: this.message, temporary: this.temporary, ...this.details }
  }
}
