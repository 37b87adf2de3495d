import { ChatError } from './chat-error.ts'
import { type Deferred, deferred } from './deferred.ts'
import type { CancelFrame, Outcome, ServerFrame } from './frames.ts'
import type { Rest } from './rest.ts'

export interface StopsOptions {
  /** False: this link carries no such frame. */
  sendFrame(frame: CancelFrame): boolean
  rest: Rest
}

/** Answers that shall stop: each is asked for until the server says which outcome stands. */
export class Stops {
  readonly #options: StopsOptions
  readonly #stops = new Map<string, Deferred<Outcome>>()
  readonly #abort = new AbortController()

  constructor(options: StopsOptions) {
    this.#options = options
  }

  stop(messageId: string): Promise<Outcome> {
    const known = this.#stops.get(messageId)
    if (known !== undefined) return known.promise
    const stop = deferred<Outcome>()
    this.#stops.set(messageId, stop)
    this.#send(messageId)
    return stop.promise
  }

  /** The link is there (again): what has no answer is asked again, which does no harm. */
  opened(): void {
    for (const messageId of this.#stops.keys()) this.#send(messageId)
  }

  read(frame: ServerFrame): void {
    if (frame.type === 'cancelled' || frame.type === 'done') {
      this.#settle(frame.messageId, (stop) => stop.resolve(frame.outcome))
    } else if (frame.type === 'error' && frame.requestId === undefined) {
      if (frame.messageId === undefined) return
      this.#settle(frame.messageId, (stop) => stop.reject(ChatError.fromBody(frame)))
    }
  }

  close(error: ChatError): void {
    this.#abort.abort()
    for (const messageId of [...this.#stops.keys()]) {
      this.#settle(messageId, (stop) => stop.reject(error))
    }
  }

  #send(messageId: string): void {
    const { rest, sendFrame } = this.#options
    if (sendFrame({ type: 'cancel', messageId })) return
    rest.cancel(messageId, this.#abort.signal).then(
      ({ outcome }) => this.#settle(messageId, (stop) => stop.resolve(outcome)),
      (error: ChatError) => {
        // Out of reach: asked again once the link is back.
        if (error.code !== 'network') this.#settle(messageId, (stop) => stop.reject(error))
      },
    )
  }

  #settle(messageId: string, how: (stop: Deferred<Outcome>) => void): void {
    const stop = this.#stops.get(messageId)
    this.#stops.delete(messageId)
    if (stop !== undefined) how(stop)
  }
}
