import type { Answer } from './answer.ts'

export interface AbandonmentOptions {
  onAbandon: 'continue' | 'grace' | 'cancel'
  abandonGraceMs: number
}

/** Cancels answers that nobody watches any more. One that nobody ever watched isn't abandoned. */
export class Abandonment implements Disposable {
  readonly #graceMs: number | null
  /** Sessions that somebody watches. */
  readonly #watched = new Set<string>()
  readonly #active = new Map<string, Answer>()
  readonly #timers = new Map<string, Timer>()

  constructor({ onAbandon, abandonGraceMs }: AbandonmentOptions) {
    this.#graceMs = onAbandon === 'continue' ? null : onAbandon === 'cancel' ? 0 : abandonGraceMs
  }

  began(answer: Answer): void {
    if (this.#graceMs === null) return
    const { sessionId } = answer.job.begin.session
    this.#active.set(sessionId, answer)
    answer.isWatched = this.#watched.has(sessionId)
  }

  over(answer: Answer): void {
    const { sessionId } = answer.job.begin.session
    if (this.#active.get(sessionId) !== answer) return
    this.#active.delete(sessionId)
    this.#stop(sessionId)
  }

  viewersChanged(sessionId: string, viewers: number): void {
    if (this.#graceMs === null) return
    const answer = this.#active.get(sessionId)
    if (viewers > 0) {
      this.#watched.add(sessionId)
      this.#stop(sessionId)
      if (answer) answer.isWatched = true
      return
    }
    this.#watched.delete(sessionId)
    if (!answer?.isWatched || this.#timers.has(sessionId)) return
    const timer = setTimeout(() => {
      this.#timers.delete(sessionId)
      answer.end({ outcome: 'cancelled', reason: 'abandoned' })
    }, this.#graceMs)
    this.#timers.set(sessionId, timer)
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }

  #stop(sessionId: string): void {
    clearTimeout(this.#timers.get(sessionId))
    this.#timers.delete(sessionId)
  }
}
