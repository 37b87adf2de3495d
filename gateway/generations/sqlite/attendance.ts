import type { Watch } from '../generations.ts'

/** Where somebody watches a session: this process is all that there is. */
export class Attendance {
  readonly #here = new Map<string, number>()

  attend(sessionId: string): Watch {
    this.#here.set(sessionId, (this.#here.get(sessionId) ?? 0) + 1)
    let isOpen = true
    return {
      close: () => {
        if (!isOpen) return
        isOpen = false
        const left = (this.#here.get(sessionId) ?? 1) - 1
        if (left > 0) this.#here.set(sessionId, left)
        else this.#here.delete(sessionId)
      },
    }
  }

  isAttended(sessionId: string): boolean {
    return this.#here.has(sessionId)
  }
}
