import { SseParser } from '#client/connection/sse-parser.ts'
import type { ServerFrame } from '#client/frames.ts'
import { atEnd } from './tracker.ts'
import { until } from './until.ts'
import type { WireFrame } from './ws-client.ts'

export interface SseOptions {
  /** Without a leading slash; `sse/chat` with the session when left out. */
  path?: string
  method?: string
  body?: string
  sessionId?: string
  cursor?: string
  lastEventId?: string
  headers?: Record<string, string>
}

type Typed<Type extends ServerFrame['type']> = Extract<ServerFrame, { type: Type }> & {
  id: string | null
}

/** An SSE stream as a plain client has it: frames with their ids, comments and `retry:` counted. */
export class SseClient {
  readonly frames: (WireFrame & { id: string | null })[] = []
  readonly retries: number[] = []
  /** Everything, as it came. */
  text = ''
  status = 0
  headers = new Headers()
  isOver = false
  /** Why it ended, when it was cut. */
  error: unknown = null
  readonly #abort = new AbortController()

  constructor(url: string, options: SseOptions = {}) {
    const { sessionId, cursor, lastEventId, path = 'sse/chat', method = 'GET', body } = options
    const params = new URLSearchParams()
    if (sessionId !== undefined) params.set('sessionId', sessionId)
    if (cursor !== undefined) params.set('cursor', cursor)
    this.#read(`${url}/${path}?${params}`, {
      method,
      ...(body !== undefined && { body }),
      signal: this.#abort.signal,
      headers: {
        accept: 'text/event-stream',
        ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
        ...options.headers,
      },
    })
      .catch((error: unknown) => {
        this.error = error
      })
      .finally(() => {
        this.isOver = true
      })
    atEnd(() => this.cut())
  }

  cut(): void {
    this.#abort.abort()
  }

  get comments(): number {
    return this.text.split('\n').filter((line) => line.startsWith(':')).length
  }

  types(): string[] {
    return this.frames.map((frame) => frame.type)
  }

  all<Type extends ServerFrame['type']>(type: Type): Typed<Type>[] {
    return this.frames.filter((frame) => frame.type === type) as unknown as Typed<Type>[]
  }

  async frame<Type extends ServerFrame['type']>(type: Type, nth = 0) {
    await until(() => this.all(type).length > nth || this.isOver, { what: `an event ${type}` })
    const frame = this.all(type)[nth]
    if (frame === undefined) throw new Error(`${type} never came: ${this.status} ${this.text}`)
    return frame
  }

  live() {
    return this.frame('live')
  }

  async over(): Promise<void> {
    await until(() => this.isOver, { what: 'the stream ends' })
  }

  async #read(address: string, init: RequestInit): Promise<void> {
    const response = await fetch(address, init)
    this.status = response.status
    this.headers = response.headers
    const parser = new SseParser(
      (event) => this.#event(event),
      (ms) => this.retries.push(ms),
    )
    const decoder = new TextDecoder()
    for await (const bytes of response.body ?? []) {
      const text = decoder.decode(bytes, { stream: true })
      this.text += text
      if (response.ok) parser.push(text)
    }
  }

  #event({ event, data, id }: { event: string; data: string; id: string }): void {
    const frame = JSON.parse(data) as WireFrame
    if (frame.type !== event) throw new Error(`event: ${event} with a frame ${frame.type}`)
    // The parser keeps the last id; whether this event brought one stands in the text.
    const before = this.text
      .slice(0, this.text.lastIndexOf(`data: ${data}`))
      .split('\n')
      .at(-2)
    this.frames.push({ ...frame, id: before === `id: ${id}` ? id : null })
  }
}
