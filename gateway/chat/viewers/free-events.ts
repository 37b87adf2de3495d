import type { Generations, SessionRef } from '../../generations/generations.ts'
import { freeEvent } from '../open-event.ts'

/** Between two batches. */
const tickMs = 20
/**
 * Of a batch: the least, and the part of what waits, so that the wait is about a second at most. A storm of connections is
 * told little by little: an event costs about 20 µs, and those who connect wait for no more than a few of them.
 */
const batchMin = 25
const batchPart = 0.02

interface Waiting {
  eventType: string
  session: SessionRef
  at: number
  fields: Record<string, unknown>
}

/** Facts of connections, told in order and in batches, best effort. */
export class FreeEvents {
  readonly #generations: Generations
  readonly #nodeId: string
  #waiting: Waiting[] = []
  #timer: ReturnType<typeof setTimeout> | null = null

  constructor(generations: Generations, nodeId: string) {
    this.#generations = generations
    this.#nodeId = nodeId
  }

  tell(eventType: string, session: SessionRef, at: number, fields: Record<string, unknown>): void {
    this.#waiting.push({ eventType, session, at, fields })
    this.#timer ??= setTimeout(() => this.#tick(), tickMs)
  }

  /** Everything, now. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#send(this.#waiting.length)
  }

  #tick(): void {
    this.#send(Math.max(batchMin, Math.ceil(this.#waiting.length * batchPart)))
    this.#timer = this.#waiting.length > 0 ? setTimeout(() => this.#tick(), tickMs) : null
  }

  #send(count: number): void {
    const batch = this.#waiting.slice(0, count)
    this.#waiting = this.#waiting.slice(count)
    const nodeId = this.#nodeId
    if (batch.length > 0) {
      this.#generations.tell(batch.map((waiting) => freeEvent({ ...waiting, nodeId })))
    }
  }
}
