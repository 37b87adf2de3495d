import OpenAI from 'openai'
import { Completion } from './completion.ts'
import {
  type Model,
  type ModelEnd,
  ModelError,
  type ModelRequest,
  type ModelSink,
} from './model.ts'
import { upstreamHealth } from './upstream-health.ts'

export interface OpenAiOptions {
  /** As `https://api.openai.com/v1`; a slash at its end does no harm. */
  baseUrl: string
  /** Servers of one's own often want none. */
  apiKey: string | null
  /** Without a byte for so long, a call has failed (`timeout`). */
  idleMs: number
  /** The first pause before a call is repeated, 500 by default; the second is twice as long. Both jittered. */
  backOffMs?: number
  random?: () => number
}

const repeatsMax = 2
/** An upstream that wants a longer pause than this is given up: the reader would long be gone. */
const retryAfterMaxMs = 30_000

interface Upstream {
  client: OpenAI
  idleMs: number
  backOffMs: number
  random: () => number
  /** OpenAI itself refuses `max_tokens` with its newer models; most others know nothing else. */
  maxTokensField: 'max_tokens' | 'max_completion_tokens'
}

/**
 * Any OpenAI-compatible server. Bun makes at most 256 calls at a time in a process, the others wait; the variable
 * `BUN_CONFIG_MAX_HTTP_REQUESTS`, read when it starts, raises that.
 */
export function openaiModel(options: OpenAiOptions): Model {
  const { baseUrl, apiKey, idleMs, backOffMs = 500, random = Math.random } = options
  const client = new OpenAI({
    baseURL: baseUrl,
    apiKey: apiKey ?? 'none',
    ...(apiKey === null && { defaultHeaders: { authorization: null } }),
    // The library would read these from the environment.
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    logLevel: 'off',
    // We count the repeats and watch the silence; Bun's own limit of 5 minutes is off.
    maxRetries: 0,
    timeout: 2 ** 31 - 1,
    fetchOptions: { timeout: false } as object,
  })
  const upstream: Upstream = {
    client,
    idleMs,
    backOffMs,
    random,
    maxTokensField:
      new URL(baseUrl).hostname === 'api.openai.com' ? 'max_completion_tokens' : 'max_tokens',
  }
  const health = upstreamHealth(client)
  return {
    health: () => health.ask(),
    async stream(request, sink, signal) {
      const end = await answer(upstream, { request, sink, signal })
      health.answered()
      return end
    },
  }
}

interface Call {
  request: ModelRequest
  sink: ModelSink
  signal: AbortSignal
}

async function answer(upstream: Upstream, call: Call): Promise<ModelEnd> {
  for (let repeats = 0; ; repeats += 1) {
    const completion = new Completion(call.sink)
    try {
      return await attempt(upstream, call, completion)
    } catch (error) {
      call.signal.throwIfAborted()
      const fault = faultOf(error)
      const pauseMs = pauseBefore(upstream, error, repeats)
      if (completion.hasSpoken || !isPassing(fault) || repeats === repeatsMax) throw fault
      if (pauseMs > retryAfterMaxMs) throw fault
      await pause(pauseMs, call.signal)
    }
  }
}

async function attempt(
  { client, idleMs, maxTokensField }: Upstream,
  { request, sink, signal }: Call,
  completion: Completion,
): Promise<ModelEnd> {
  const silence = new Silence(idleMs)
  const either = AbortSignal.any([signal, silence.signal])
  const { model, messages, temperature, maxTokens, traceparent } = request
  try {
    const response = await client.chat.completions
      .create(
        {
          model,
          messages,
          stream: true,
          stream_options: { include_usage: true },
          ...(temperature !== undefined && { temperature }),
          ...(maxTokens !== undefined && { [maxTokensField]: maxTokens }),
        },
        { signal: either, ...(traceparent !== undefined && { headers: { traceparent } }) },
      )
      .asResponse()
    silence.broken()
    if (response.body === null) throw new ModelError('upstream', 'an answer without a body')
    sink.status('thinking')
    return await completion.read(response.body, either, () => silence.broken())
  } catch (error) {
    either.throwIfAborted()
    throw error
  } finally {
    silence.end()
  }
}

/** Aborts when nothing was heard for so long. One timer, which looks again when it is early, not one per byte. */
class Silence {
  readonly #abort = new AbortController()
  readonly #idleMs: number
  #heardAt = performance.now()
  #timer: ReturnType<typeof setTimeout>

  constructor(idleMs: number) {
    this.#idleMs = idleMs
    this.#timer = setTimeout(() => this.#look(), idleMs)
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  broken(): void {
    this.#heardAt = performance.now()
  }

  end(): void {
    clearTimeout(this.#timer)
  }

  #look(): void {
    const leftMs = this.#heardAt + this.#idleMs - performance.now()
    if (leftMs > 0) this.#timer = setTimeout(() => this.#look(), Math.ceil(leftMs))
    else this.#abort.abort(new ModelError('timeout', `not a byte for ${this.#idleMs} ms`))
  }
}

/** What is neither the library's nor ours to tell is a bug, and stays what it is. */
function faultOf(error: unknown): unknown {
  if (!(error instanceof OpenAI.APIError)) return error
  const { status } = error
  // Refused, no such host, TLS.
  if (status === undefined) return new ModelError('connection', error.message, { cause: error })
  const errorType = status === 429 ? 'rate_limit' : 'upstream'
  return new ModelError(errorType, `HTTP ${status}`, { cause: error })
}

function isPassing(fault: unknown): fault is ModelError {
  if (!(fault instanceof ModelError)) return false
  const { errorType, cause } = fault
  if (errorType === 'connection' || errorType === 'rate_limit') return true
  return cause instanceof OpenAI.APIError && Number(cause.status) >= 500
}

/** Half of it is chance, so that those who failed together don't come back together. */
function pauseBefore({ backOffMs, random }: Upstream, error: unknown, repeats: number): number {
  const pauseMs = backOffMs * 2 ** repeats * (0.5 + random() / 2)
  const wanted = error instanceof OpenAI.APIError ? retryAfterMs(error.headers) : 0
  return wanted > 0 ? wanted + pauseMs / 2 : pauseMs
}

/** Seconds or a date. */
function retryAfterMs(headers: Headers | undefined): number {
  const wanted = headers?.get('retry-after') ?? ''
  const ms = /^\d+(\.\d+)?$/.test(wanted) ? Number(wanted) * 1000 : Date.parse(wanted) - Date.now()
  return Number.isNaN(ms) ? 0 : Math.max(ms, 0)
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
