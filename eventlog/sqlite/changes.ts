const pollMs = 50
/** Between two changes that another connection has made: while it stores something all the time, each reading is to find more of it. */
const restMs = 200

/**
 * Wakes who waits for the log: at once for what this connection stored, soon for what another stored. The timer runs only
 * while somebody waits.
 */
export class Changes implements Disposable {
  readonly #look: () => boolean
  readonly #waiting = new Set<() => void>()
  #timer: NodeJS.Timeout | null = null
  #told = 0
  #foundAtMs = Number.NEGATIVE_INFINITY

  /** `look` answers whether others have stored something since it last did. */
  constructor(look: () => boolean) {
    this.#look = look
  }

  /** Grows with each `notify`: who has seen this number has missed none. */
  get told(): number {
    return this.#told
  }

  notify(): void {
    this.#told += 1
    const woken = [...this.#waiting]
    this.#waiting.clear()
    this.#stop()
    for (const wake of woken) wake()
  }

  /** Resolves with the next change, or once one of the signals aborts. */
  wait(signals: AbortSignal[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => {
      this.#waiting.delete(wake)
      if (this.#waiting.size === 0) this.#stop()
      for (const signal of signals) signal.removeEventListener('abort', wake)
      resolve()
    }
    if (signals.some((signal) => signal.aborted)) return Promise.resolve()
    for (const signal of signals) signal.addEventListener('abort', wake)
    this.#waiting.add(wake)
    this.#arm()
    return promise
  }

  [Symbol.dispose](): void {
    this.notify()
  }

  #arm(): void {
    const waitMs = Math.max(pollMs, this.#foundAtMs + restMs - performance.now())
    this.#timer ??= setTimeout(() => this.#tick(), waitMs)
  }

  #tick(): void {
    this.#timer = null
    try {
      if (!this.#look()) return
      this.#foundAtMs = performance.now()
      this.notify()
    } finally {
      if (this.#waiting.size > 0) this.#arm()
    }
  }

  #stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
