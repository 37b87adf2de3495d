import type { Outlet } from './outlet.ts'

/** Looks after every connection about once in `turnMs`: one timer for all of them, a tenth of them at a time. */
export class Wheel {
  readonly #outlets: Outlet[] = []
  readonly #tickMs: number
  readonly #now: () => number
  #timer: ReturnType<typeof setInterval> | null = null
  #at = 0

  constructor(turnMs: number, now: () => number) {
    this.#tickMs = Math.max(1, turnMs / 10)
    this.#now = now
  }

  get size(): number {
    return this.#outlets.length
  }

  add(outlet: Outlet): void {
    outlet.place = this.#outlets.length
    this.#outlets.push(outlet)
    this.#timer ??= setInterval(() => this.#tick(), this.#tickMs)
  }

  remove(outlet: Outlet): void {
    if (outlet.place < 0) return
    const last = this.#outlets.pop()
    if (last !== undefined && last !== outlet) {
      this.#outlets[outlet.place] = last
      last.place = outlet.place
    }
    outlet.place = -1
    if (this.#outlets.length > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  all(): Outlet[] {
    return this.#outlets.slice()
  }

  #tick(): void {
    const nowMs = this.#now()
    let left = Math.ceil(this.#outlets.length / 10)
    for (; left > 0; left -= 1) {
      if (this.#at >= this.#outlets.length) this.#at = 0
      this.#outlets[this.#at]?.visit(nowMs)
      this.#at += 1
    }
  }
}
