import { type ModelEnd, ModelError, type ModelSink, type Usage } from './model.ts'
import { type SseData, SseDataReader } from './sse-data.ts'

/** No honest chunk is longer; a line without an end must not fill the memory. */
const heldMax = 8 * 1024 * 1024

/** The parts of a chunk that are read; servers add and leave out at will. */
interface CompletionChunk {
  error?: unknown
  choices?: {
    index?: number
    delta?: {
      content?: unknown
      refusal?: unknown
      reasoning_content?: unknown
      reasoning?: unknown
    }
    finish_reason?: unknown
  }[]
  usage?: {
    prompt_tokens?: unknown
    completion_tokens?: unknown
    prompt_tokens_details?: { cached_tokens?: unknown } | null
    completion_tokens_details?: { reasoning_tokens?: unknown } | null
  } | null
}

/**
 * Reads the body of one streamed chat completion into the sink. The client library's own stream hides what must be
 * told apart: comments, which show that the upstream lives, and an end without a `finish_reason`.
 */
export class Completion {
  readonly #sink: ModelSink
  readonly #sse = new SseDataReader()
  #finishReason: string | null = null
  #usage: Usage | undefined
  #isDone = false
  /** Whether anything was said: from then on a fault can't be repaired by asking again. */
  hasSpoken = false

  constructor(sink: ModelSink) {
    this.#sink = sink
  }

  /** `onBytes` hears that the upstream lives. Rejects with `ModelError`, or with the reason of `signal`. */
  async read(
    body: ReadableStream<Uint8Array>,
    signal: AbortSignal,
    onBytes: () => void,
  ): Promise<ModelEnd> {
    const reader = body.getReader()
    // Ends a pending read at once. What goes wrong in it was told by `read`, or is of no interest any more.
    const close = () => void reader.cancel().catch(() => undefined)
    signal.addEventListener('abort', close, { once: true })
    try {
      while (!this.#isDone) {
        const bytes = await next(reader)
        signal.throwIfAborted()
        onBytes()
        for (const event of bytes === null ? this.#sse.end() : this.#sse.push(bytes)) {
          this.#event(event)
          signal.throwIfAborted()
        }
        if (bytes === null) break
        if (this.#sse.held > heldMax) throw new ModelError('upstream', 'a line without an end')
      }
    } finally {
      signal.removeEventListener('abort', close)
      close()
    }
    if (this.#finishReason === null) {
      throw new ModelError('upstream', 'the stream ended without finish_reason')
    }
    return {
      finishReason: this.#finishReason,
      ...(this.#usage !== undefined && { usage: this.#usage }),
    }
  }

  #event({ event, data }: SseData): void {
    if (this.#isDone) return
    if (data.trim() === '[DONE]') {
      this.#isDone = true
      return
    }
    const chunk = parsed(data)
    if (event === 'error' || (chunk.error !== undefined && chunk.error !== null)) {
      throw new ModelError('upstream', `the stream told of an error: ${data.slice(0, 500)}`)
    }
    this.#choice(chunk)
    this.#usage = usageOf(chunk) ?? this.#usage
  }

  #choice({ choices }: CompletionChunk): void {
    const choice = Array.isArray(choices)
      ? choices.find((candidate) => (candidate?.index ?? 0) === 0)
      : undefined
    if (choice === undefined) return
    const { content, refusal, reasoning_content, reasoning } = choice.delta ?? {}
    // Servers that send both mean the same text by them.
    this.#delta('reasoning', textOf(reasoning_content) || textOf(reasoning))
    this.#delta('text', textOf(content) || textOf(refusal))
    const { finish_reason } = choice
    if (typeof finish_reason === 'string' && finish_reason !== '') {
      this.#finishReason = finish_reason
    }
  }

  #delta(kind: 'text' | 'reasoning', text: string): void {
    if (text === '') return
    this.hasSpoken = true
    this.#sink.delta(kind, text)
  }
}

/** Null at the end. A body that breaks off before its end rejects. */
async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | null> {
  try {
    return (await reader.read()).value ?? null
  } catch (cause) {
    throw new ModelError('connection', 'the answer was cut before its end', { cause })
  }
}

function parsed(data: string): CompletionChunk {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    // Neither the data nor the parser's words about it are for a log: they may hold what was said.
    throw new ModelError('upstream', `not JSON: ${data.length} characters`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ModelError('upstream', `not an object but ${data.length} characters of other JSON`)
  }
  return value
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function usageOf({ usage }: CompletionChunk): Usage | undefined {
  const inputTokens = countOf(usage?.prompt_tokens)
  const outputTokens = countOf(usage?.completion_tokens)
  if (inputTokens === undefined || outputTokens === undefined) return undefined
  const reasoningTokens = countOf(usage?.completion_tokens_details?.reasoning_tokens)
  const cachedInputTokens = countOf(usage?.prompt_tokens_details?.cached_tokens)
  return {
    inputTokens,
    outputTokens,
    ...(reasoningTokens !== undefined && { reasoningTokens }),
    ...(cachedInputTokens !== undefined && { cachedInputTokens }),
  }
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined
}
