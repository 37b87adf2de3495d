import type { Generations, Watch } from '../../generations/generations.ts'
import type { Answer } from './answer.ts'

/** Between two looks at who watches on other nodes. */
const lookMs = 1_000

export interface AbandonmentOptions {
  generations: Pick<Generations, 'attend' | 'isAttended'>
  onAbandon: 'continue' | 'grace' | 'cancel'
  abandonGraceMs: number
}

interface Active {
  answer: Answer
  sessionId: string
  /** Somebody has watched since it began. */
  isWatched: boolean
  /** Nobody watches: it ends then. */
  leaving: Timer | null
}

/** Cancels answers of this node that nobody watches any more, on whatever node. One that nobody ever watched isn't abandoned. */
export class Abandonment implements Disposable {
  readonly #graceMs: number | null
  readonly #generations: AbandonmentOptions['generations']
  /** Of the sessions that somebody watches at this node. */
  readonly #here = new Map<string, Watch>()
  readonly #active = new Map<string, Active>()
  #looking: Timer | null = null

  constructor({ generations, onAbandon, abandonGraceMs }: AbandonmentOptions) {
    this.#generations = generations
    this.#graceMs = onAbandon === 'continue' ? null : onAbandon === 'cancel' ? 0 : abandonGraceMs
  }

  began(answer: Answer): void {
    if (this.#graceMs === null) return
    const { sessionId } = answer.job.begin.session
    const isWatched = this.#here.has(sessionId)
    this.#active.set(sessionId, { answer, sessionId, isWatched, leaving: null })
    this.#looking ??= setInterval(() => {
      for (const active of this.#active.values()) this.#look(active)
    }, lookMs)
  }

  over(answer: Answer): void {
    const active = this.#active.get(answer.job.begin.session.sessionId)
    if (active?.answer !== answer) return
    stay(active)
    this.#active.delete(active.sessionId)
    if (this.#active.size === 0) this.#stopLooking()
  }

  viewersChanged(sessionId: string, viewers: number): void {
    if (this.#graceMs === null) return
    const active = this.#active.get(sessionId)
    if (viewers > 0) {
      if (!this.#here.has(sessionId)) this.#here.set(sessionId, this.#generations.attend(sessionId))
      if (active !== undefined) watched(active)
      return
    }
    this.#here.get(sessionId)?.close()
    this.#here.delete(sessionId)
    if (active?.isWatched) this.#look(active)
  }

  [Symbol.dispose](): void {
    for (const active of this.#active.values()) stay(active)
    for (const watch of this.#here.values()) watch.close()
    this.#active.clear()
    this.#here.clear()
    this.#stopLooking()
  }

  #look(active: Active): void {
    this.#isAttended(active).then(
      (isAttended) => {
        if (this.#active.get(active.sessionId) !== active) return
        if (isAttended) watched(active)
        else this.#leaves(active)
      },
      // Hot state is away: nobody can say who watches, so nothing is abandoned.
      () => stay(active),
    )
  }

  async #isAttended({ sessionId }: Active): Promise<boolean> {
    const isAttended = await this.#generations.isAttended(sessionId)
    // Or somebody has come to this node since.
    return isAttended || this.#here.has(sessionId)
  }

  #leaves(active: Active): void {
    if (!active.isWatched || active.leaving !== null) return
    active.leaving = setTimeout(() => {
      active.leaving = null
      this.#isAttended(active).then(
        (isAttended) => {
          if (isAttended || this.#active.get(active.sessionId) !== active) return
          active.answer.end({ outcome: 'cancelled', reason: 'abandoned' })
        },
        () => undefined,
      )
    }, this.#graceMs ?? 0)
  }

  #stopLooking(): void {
    if (this.#looking !== null) clearInterval(this.#looking)
    this.#looking = null
  }
}

function watched(active: Active): void {
  active.isWatched = true
  stay(active)
}

function stay(active: Active): void {
  if (active.leaving !== null) clearTimeout(active.leaving)
  active.leaving = null
}
