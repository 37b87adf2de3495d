import type { Chat, ChatEvent, ChatSnapshot, SendOptions } from './chat.ts'
import { ChatError } from './chat-error.ts'
import { Connection } from './connection/connection.ts'
import type { TransportName } from './connection/link.ts'
import { openSse } from './connection/sse-link.ts'
import { defaultTiming, type Timing } from './connection/timing.ts'
import { type TokenSource, Tokens } from './connection/token.ts'
import { TransportChoice } from './connection/transport-choice.ts'
import { openWebSocket, type WebSocketConstructor } from './connection/websocket-link.ts'
import { deferred } from './deferred.ts'
import { baseUrl, fixedTransport, globalWebSocket, newId } from './environment.ts'
import type { ChatFrame, Outcome, ServerFrame } from './frames.ts'
import type { ChatMessage } from './message.ts'
import { Outbox } from './outbox.ts'
import { type Accepted, createRest, type Fetch, type Rest } from './rest.ts'
import { sha256 } from './sha256.ts'
import { Stops } from './stops.ts'
import { Transcript } from './transcript.ts'

export interface CreateChat {
  /** Of the gateway, `http:` or `https:`; a page may leave it out for its own. */
  url?: string
  /** Left out: a new session. */
  sessionId?: string
  /** A JWT, or how to get one (asked again before it ends). None: the cookie, or development mode. */
  token?: TokenSource
  /** `auto`: a WebSocket, and SSE where it is blocked or missing (Node before 22). */
  transport?: 'auto' | TransportName
  /** Where there is no global one, `WebSocket` of the package `ws`. */
  webSocket?: WebSocketConstructor
  fetch?: Fetch
  timing?: Partial<Timing>
  /** From 0 to 1, for jitter. */
  random?: () => number
  /** Makes session and request ids. */
  newId?: () => string
}

/** Opens a chat and keeps it connected until `close`. */
export function createChat(options: CreateChat = {}): Chat {
  return new LiveChat(options)
}

class LiveChat implements Chat {
  readonly sessionId: string
  readonly #newId: () => string
  readonly #rest: Rest
  readonly #connection: Connection
  readonly #outbox: Outbox
  readonly #stops: Stops
  readonly #transcript = new Transcript()
  readonly #listeners = new Set<(event: ChatEvent) => void>()
  #userId: string | null = null
  #isLoaded = false
  #snapshot: ChatSnapshot | null = null

  constructor(options: CreateChat) {
    const base = baseUrl(options.url)
    const timing = { ...defaultTiming, ...options.timing }
    const random = options.random ?? Math.random
    const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init))
    const tokens = new Tokens(options.token)
    const webSocket = options.webSocket ?? globalWebSocket()
    this.#newId = options.newId ?? newId
    this.sessionId = options.sessionId ?? this.#newId()
    this.#rest = createRest({ base, fetch, tokens })
    this.#connection = new Connection({
      choice: new TransportChoice(timing, fixedTransport(options.transport, webSocket)),
      tokens,
      timing,
      random,
      frame: (frame) => this.#read(frame),
      changed: () => this.#connectionChanged(),
      isIdle: () => this.#transcript.activeId === null && !this.#outbox.isWaiting,
      open: (transport, token, listener) => {
        const cursor = this.#transcript.cursor
        const query = new URLSearchParams({ sessionId: this.sessionId })
        if (transport === 'sse' || webSocket === undefined) {
          return openSse({ fetch, url: `${base}sse/chat?${query}`, cursor, token, listener })
        }
        if (cursor !== null) query.set('cursor', cursor)
        const url = `${base.replace(/^http/, 'ws')}ws/chat?${query}`
        return openWebSocket({ webSocket, url, token, listener })
      },
    })
    this.#stops = new Stops({
      sendFrame: (frame) => this.#connection.send(frame),
      rest: this.#rest,
    })
    this.#outbox = new Outbox({
      sendFrame: (frame) => this.#connection.send(frame),
      rest: this.#rest,
      sessionId: this.sessionId,
      timing,
      random,
      changed: () => this.#changed(),
      cancel: (messageId) => this.#cancelLater(messageId),
    })
    this.#connection.connect()
  }

  snapshot(): ChatSnapshot {
    const { state, reason, transport } = this.#connection
    const { messages, activeId, nextBefore } = this.#transcript
    const isShown = (messageId: string) => this.#transcript.find(messageId) !== undefined
    this.#snapshot ??= {
      state,
      reason,
      transport,
      sessionId: this.sessionId,
      userId: this.#userId,
      isLoaded: this.#isLoaded,
      messages: [...messages, ...this.#outbox.messages(isShown)],
      activeId,
      isSending: this.#outbox.isWaiting,
      hasOlder: nextBefore !== null,
    }
    return this.#snapshot
  }

  subscribe(listener: (event: ChatEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async *events(signal?: AbortSignal): AsyncGenerator<ChatEvent, void, undefined> {
    const queue: ChatEvent[] = []
    let wake: () => void = () => undefined
    const forget = this.subscribe((event) => {
      queue.push(event)
      wake()
    })
    const stop = () => wake()
    signal?.addEventListener('abort', stop)
    try {
      while (!signal?.aborted) {
        const event = queue.shift()
        if (event !== undefined) yield event
        else if (this.#connection.state === 'closed') return
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      forget()
      signal?.removeEventListener('abort', stop)
    }
  }

  send(text: string, options: SendOptions = {}): Promise<Accepted> {
    const { state, reason } = this.#connection
    if (state === 'closed') return Promise.reject(reason)
    const { regenerate, metadata, requestId = this.#newId() } = options
    const frame: ChatFrame & { requestId: string } = {
      type: 'chat',
      requestId,
      ...(regenerate === undefined ? { content: text } : { regenerate }),
      ...(options.options && { options: options.options }),
      ...(metadata && { metadata }),
    }
    const accepted = this.#outbox.add(frame)
    this.#changed()
    return accepted
  }

  retry(requestId: string): Promise<Accepted> {
    const accepted = this.#outbox.retry(requestId)
    this.#changed()
    return accepted ?? Promise.reject(new ChatError('not_found', 'There is no such question.'))
  }

  discard(requestId: string): void {
    this.#outbox.discard(requestId)
  }

  async stop(): Promise<Outcome | null> {
    const { activeId } = this.#transcript
    if (activeId !== null) return await this.#stops.stop(activeId)
    this.#outbox.stop()
    return null
  }

  finished(messageId: string): Promise<ChatMessage> {
    const { promise, resolve, reject } = deferred<ChatMessage>()
    const look = () => {
      const message = this.#transcript.find(messageId)
      if (message !== undefined && message.outcome !== null) resolve(message)
      else if (this.#connection.state === 'closed') reject(this.#connection.reason)
      else return
      forget()
    }
    const forget = this.subscribe(look)
    look()
    return promise
  }

  async loadOlder(): Promise<void> {
    const before = this.#transcript.nextBefore
    if (before === null) return
    const page = await this.#rest.history(this.sessionId, before)
    // A snapshot may have replaced the list meanwhile.
    if (this.#transcript.nextBefore !== before) return
    this.#transcript.prepend(page.messages, page.nextBefore ?? null)
    this.#changed()
  }

  reconnect(): void {
    this.#connection.wake()
  }

  close(): void {
    this.#connection.close(new ChatError('closed', 'The chat was closed.'))
  }

  #read(frame: ServerFrame): void {
    if (this.#transcript.apply(frame) === 'gap') {
      this.#transcript.forgetCursor()
      this.#connection.restart('Something is missing.')
      return
    }
    const isMine = this.#outbox.read(frame)
    this.#stops.read(frame)
    if (frame.type === 'welcome') {
      this.#userId = frame.userId
      this.#outbox.opened()
    } else if (frame.type === 'live') {
      this.#isLoaded = true
      this.#connection.caughtUp()
      this.#stops.opened()
    } else if (frame.type === 'erased') this.#outbox.forgetAccepted()
    else if (frame.type === 'done') this.#verify(frame.messageId, frame.sha256)
    else if (frame.type === 'error' && !isMine) {
      this.#emit({ type: 'error', error: ChatError.fromBody(frame) })
    }
    const isDelta = frame.type === 'chunk' && frame.seq !== undefined
    this.#changed(
      isDelta
        ? {
            type: 'chunk',
            messageId: frame.messageId,
            kind: frame.kind ?? 'text',
            text: frame.text ?? '',
          }
        : { type: 'change' },
    )
    if (frame.type === 'done') {
      const message = this.#transcript.find(frame.messageId)
      if (message !== undefined) this.#emit({ type: 'done', message })
    }
  }

  /** What is shown must be what was sent, to the byte; else the whole session comes again. */
  #verify(messageId: string, expected: string): void {
    const text = this.#transcript.find(messageId)?.content ?? ''
    sha256(text).then(
      (actual) => {
        if (actual === null || actual === expected) return
        this.#transcript.forgetCursor()
        this.#connection.restart('The text differs from what was sent.')
      },
      (error: unknown) =>
        this.#emit({ type: 'error', error: new ChatError('network', String(error)) }),
    )
  }

  #cancelLater(messageId: string): void {
    this.#stops.stop(messageId).catch((error: ChatError) => this.#emit({ type: 'error', error }))
  }

  #connectionChanged(): void {
    const { state, reason } = this.#connection
    if (state !== 'open') this.#outbox.lost()
    if (reason !== null) {
      this.#outbox.close(reason)
      this.#stops.close(reason)
    }
    this.#changed()
  }

  #changed(event: ChatEvent = { type: 'change' }): void {
    this.#snapshot = null
    this.#emit(event)
  }

  #emit(event: ChatEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        // A listener's fault is its own: it is reported, and the next frame is read all the same.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}
