import { ChatError } from './chat-error.ts'
import { backOff, type Timing } from './connection/timing.ts'
import { deferred } from './deferred.ts'
import type { ChatFrame, ServerFrame } from './frames.ts'
import type { ChatMessage } from './message.ts'
import type { Accepted, Rest } from './rest.ts'

interface Entry {
  requestId: string
  frame: ChatFrame
  createdAt: string
  is: 'waiting' | 'accepted' | 'refused'
  accepted?: Accepted
  error?: ChatError
  /** It may have reached the server. */
  isOut: boolean
  /** Stop was asked for before the server said which answer it is. */
  isStopped: boolean
  /** Of refusals that pass by themselves. */
  tries: number
  settle: { resolve(accepted: Accepted): void; reject(error: ChatError): void }
  timer?: ReturnType<typeof setTimeout>
}

export interface OutboxOptions {
  /** False: this link carries no such frame, or it is too large for one. */
  sendFrame(frame: ChatFrame): boolean
  rest: Rest
  sessionId: string
  timing: Timing
  random: () => number
  changed(): void
  /** Stop what was accepted after it had been given up. */
  cancel(messageId: string): void
}

/** Over it the server closes the socket for good. */
const frameBytesMax = 64 * 1024
/** A question that the server can't take now (`unavailable`) is sent again so often before the user is asked. */
const unavailableTriesMax = 3

/** Questions on their way: each is sent until it is accepted or refused, under one request id, so once. */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #entries = new Map<string, Entry>()
  readonly #abort = new AbortController()
  #isOpen = false

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Whether a question is on its way. */
  get isWaiting(): boolean {
    return [...this.#entries.values()].some((entry) => entry.is === 'waiting')
  }

  add(frame: ChatFrame & { requestId: string }): Promise<Accepted> {
    const { promise, resolve, reject } = deferred<Accepted>()
    const entry: Entry = {
      requestId: frame.requestId,
      frame,
      createdAt: new Date().toISOString(),
      is: 'waiting',
      isOut: false,
      isStopped: false,
      tries: 0,
      settle: { resolve, reject },
    }
    this.#entries.set(frame.requestId, entry)
    this.#send(entry)
    return promise
  }

  /** A refused question goes out again, under the same id. */
  retry(requestId: string): Promise<Accepted> | null {
    const entry = this.#entries.get(requestId)
    if (entry?.is !== 'refused') return null
    this.#entries.delete(requestId)
    return this.add({ ...entry.frame, requestId })
  }

  discard(requestId: string): void {
    const entry = this.#entries.get(requestId)
    if (entry?.is !== 'refused') return
    this.#entries.delete(requestId)
    this.#options.changed()
  }

  /** Gives up what is on its way: at once, or as soon as the server says which answer it is. */
  stop(): void {
    for (const entry of this.#entries.values()) {
      if (entry.is !== 'waiting') continue
      entry.isStopped = true
      if (!entry.isOut)
        this.#refused(entry, new ChatError('aborted', 'Stopped before it was sent.'))
    }
  }

  /** The link is there: whatever has no answer goes out (again). */
  opened(): void {
    this.#isOpen = true
    for (const entry of this.#entries.values()) this.#send(entry)
  }

  lost(): void {
    this.#isOpen = false
  }

  close(error: ChatError): void {
    this.#abort.abort()
    for (const entry of this.#entries.values()) {
      clearTimeout(entry.timer)
      if (entry.is === 'waiting') this.#refused(entry, error)
    }
  }

  /** True when the frame was about one of these. */
  read(frame: ServerFrame): boolean {
    if (frame.type !== 'accepted' && frame.type !== 'error' && frame.type !== 'started')
      return false
    const entry = frame.requestId === undefined ? undefined : this.#entries.get(frame.requestId)
    if (entry === undefined) return false
    const { sessionId } = this.#options
    if (frame.type === 'error') this.#failed(entry, ChatError.fromBody(frame))
    else if (frame.type === 'accepted') this.#accepted(entry, frame)
    else {
      const { messageId, userMessage } = frame
      const userMessageId = userMessage.messageId
      this.#accepted(entry, { messageId, userMessageId, sessionId, duplicate: false })
    }
    return true
  }

  /** Those that the transcript doesn't show yet. */
  messages(isShown: (messageId: string) => boolean): ChatMessage[] {
    const messages: ChatMessage[] = []
    for (const [requestId, entry] of this.#entries) {
      const { is, accepted, frame, createdAt, error } = entry
      if (accepted !== undefined && isShown(accepted.messageId)) {
        this.#entries.delete(requestId)
        continue
      }
      if (frame.content === undefined) continue
      messages.push({
        messageId: requestId,
        requestId,
        role: 'user',
        content: frame.content,
        parts: [],
        createdAt,
        outcome: null,
        status: is === 'refused' ? 'unsent' : 'sending',
        ...(error && {
          error: { code: error.code, errorType: error.code, message: error.message },
        }),
      })
    }
    return messages
  }

  /** History was erased: what had been accepted is gone with it. */
  forgetAccepted(): void {
    for (const [requestId, { is }] of this.#entries) {
      if (is === 'accepted') this.#entries.delete(requestId)
    }
  }

  #send(entry: Entry): void {
    if (!this.#isOpen || entry.is !== 'waiting') return
    const { rest, sessionId, sendFrame } = this.#options
    const { frame, requestId } = entry
    const bytes = new TextEncoder().encode(JSON.stringify(frame)).length
    entry.isOut = true
    if (bytes <= frameBytesMax && sendFrame(frame)) return
    rest.chat(sessionId, frame, this.#abort.signal).then(
      (accepted) => {
        const current = this.#entries.get(requestId)
        if (current === entry) this.#accepted(entry, accepted)
      },
      (error: ChatError) => {
        if (this.#entries.get(requestId) === entry) this.#failed(entry, error)
      },
    )
  }

  #accepted(entry: Entry, accepted: Accepted): void {
    const { messageId, userMessageId, sessionId, duplicate } = accepted
    if (entry.is === 'waiting' && entry.isStopped) this.#options.cancel(messageId)
    entry.is = 'accepted'
    entry.accepted = { messageId, userMessageId, sessionId, duplicate }
    entry.settle.resolve(entry.accepted)
    // Its steps came, or come, by the log; they may be older than what is shown.
    if (duplicate) this.#entries.delete(entry.requestId)
    this.#options.changed()
  }

  #failed(entry: Entry, error: ChatError): void {
    if (entry.is !== 'waiting') return
    const isPassing =
      error.code === 'network' ||
      (error.code === 'unavailable' && entry.tries < unavailableTriesMax)
    if (!isPassing || !error.temporary || entry.isStopped) {
      this.#refused(entry, error)
      return
    }
    const { timing, random } = this.#options
    const delayMs = (error.details.retryAfterMs ?? 0) + backOff(timing, entry.tries, random)
    entry.tries += 1
    clearTimeout(entry.timer)
    entry.timer = setTimeout(() => this.#send(entry), delayMs)
  }

  #refused(entry: Entry, error: ChatError): void {
    entry.is = 'refused'
    entry.error = error
    // A regeneration has no text to keep for another try.
    if (entry.frame.content === undefined) this.#entries.delete(entry.requestId)
    entry.settle.reject(error)
    this.#options.changed()
  }
}
