/** How a model's answer can end badly. `owner_lost` and `shutdown` are ours, the rest the model's. */
export type ModelErrorType = 'rate_limit' | 'timeout' | 'connection' | 'upstream' | 'too_large'

export interface ModelMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

export interface ModelRequest {
  messageId: string
  model: string
  messages: ModelMessage[]
  temperature?: number
  maxTokens?: number
  /** W3C trace context to pass upstream. */
  traceparent?: string
}

export interface Usage {
  inputTokens: number
  outputTokens: number
  reasoningTokens?: number
  cachedInputTokens?: number
}

export interface ModelEnd {
  finishReason: string
  usage?: Usage
}

/** Where a model's words go: plain calls, no iterator, for a promise per token is a third of its cost. */
export interface ModelSink {
  /** A delta as the model sent it: may be empty, may split a surrogate pair. */
  delta(kind: 'text' | 'reasoning', text: string): void
  /** The request was accepted but the model has not begun to speak (`thinking`). */
  status(status: 'queued' | 'thinking' | 'tool'): void
}

/** A fault of the model. `message` is for our logs and never holds the upstream's own words towards a client. */
export class ModelError extends Error {
  override name = 'ModelError'
  readonly errorType: ModelErrorType
  constructor(errorType: ModelErrorType, message: string, options?: ErrorOptions) {
    super(message, options)
    this.errorType = errorType
  }
}

/** Makes one answer. Adapters: `demo.ts`, `openai.ts`. */
export interface Model {
  /** `off`: nothing to reach (demo). Cheap, cached; asked by `/health`. */
  health(): Promise<{ state: 'up' | 'down' | 'off'; reason?: string }>
  /**
   * Streams one answer into `sink` and resolves at its clean end. Rejects with `ModelError`, or with the abort's
   * reason soon after `signal` aborts (the call upstream is closed then). Calls nothing on `sink` once settled.
   */
  stream(request: ModelRequest, sink: ModelSink, signal: AbortSignal): Promise<ModelEnd>
}
