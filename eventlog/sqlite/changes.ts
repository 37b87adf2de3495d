const pollMs = 50

/**
 * Wakes who waits for the log: at once for what this connection stored, within `pollMs` for what another stored. The
 * timer runs only while somebody waits.
 */
export class Changes implements Disposable {
  readonly #look: () => void
  readonly #waiting = new Set<() => void>()
  #timer: ReturnType<typeof setInterval> | null = null

  /** `look` looks for what others stored, and tells it by `notify`. */
  constructor(look: () => void) {
    this.#look = look
  }

  notify(): void {
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
    this.#timer ??= setInterval(this.#look, pollMs)
    return promise
  }

  [Symbol.dispose](): void {
    this.notify()
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}
