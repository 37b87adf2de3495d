const status = {
  invalid_request: 400,
  not_authenticated: 401,
  forbidden: 403,
  not_found: 404,
  gone: 410,
  unavailable: 503,
} as const

export type ReplayErrorCode = keyof typeof status

export interface ReplayErrorDetails {
  field?: string
  /** With `gone`: the offsets that are left. */
  available?: { from: number; to: number }
}

/** A refusal that the caller may see; `toJSON` is the body's `error`. */
export class ReplayError extends Error {
  override name = 'ReplayError'
  readonly code: ReplayErrorCode
  readonly details: ReplayErrorDetails
  constructor(
    code: ReplayErrorCode,
    message: string,
    details: ReplayErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.code = code
    this.details = details
  }

  get status(): number {
    return status[this.code]
  }

  toJSON(): ReplayErrorDetails & { code: string; message: string; temporary: boolean } {
    const { code, message } = this
    return { code, message, temporary: code === 'unavailable', ...this.details }
  }
}

export function badField(field: string, wanted: string): ReplayError {
  return new ReplayError('invalid_request', `${field} must be ${wanted}`, { field })
}
