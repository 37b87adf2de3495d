/** A call more is forgiven than the sum of many costs is off by rounding. */
const roundingMs = 0.5
export const minuteMs = 60_000

/**
 * Buckets that hold a minute's calls and refill evenly, each kept as one number per user: when it will be full again.
 * A user who is idle costs nothing.
 */
export class Rate {
  readonly costMs: number
  readonly #now: () => number
  readonly #fullAt = new Map<string, number>()
  #sweepAtSize = 1_000

  constructor(limit: number, now: () => number) {
    this.costMs = minuteMs / limit
    this.#now = now
  }

  /** 0: a call would be taken; else the milliseconds until one would be. */
  wait(user: string): number {
    const atMs = this.#now()
    const overMs = this.#next(user, atMs) - atMs - minuteMs
    return overMs > roundingMs ? overMs : 0
  }

  take(user: string): void {
    const atMs = this.#now()
    this.#fullAt.set(user, this.#next(user, atMs))
    if (this.#fullAt.size < this.#sweepAtSize) return
    for (const [each, at] of this.#fullAt) if (at <= atMs) this.#fullAt.delete(each)
    this.#sweepAtSize = Math.max(1_000, this.#fullAt.size * 2)
  }

  #next(user: string, atMs: number): number {
    return Math.max(this.#fullAt.get(user) ?? 0, atMs) + this.costMs
  }
}
