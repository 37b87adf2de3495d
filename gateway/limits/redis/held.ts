import type { Slot } from '../limits.ts'
import type { Calls } from './calls.ts'

interface Count {
  key: string
  held: number
  /** Being asked for. */
  wanted: number
  /** What Redis believes, as far as is known. */
  told: number
  saidAtMs: number
}

export interface HeldOptions {
  calls: Calls
  /** Of each key in Redis, before the user's. */
  prefix: string
  limit: number
  leaseMs: number
}

/** Slots of users over all nodes. This node says how many it holds, so what it says is safe to repeat. */
export class Held implements Disposable {
  readonly #options: HeldOptions
  readonly #counts = new Map<string, Count>()
  readonly #timer: Timer

  constructor(options: HeldOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#renew(), options.leaseMs / 30)
    this.#timer.unref()
  }

  /** Null: all are taken. Without Redis this node counts its own alone. */
  async take(user: string): Promise<Slot | null> {
    const { calls, limit } = this.#options
    const count = this.#countOf(user)
    const total = count.held + count.wanted + 1
    if (total > limit) return null
    count.wanted += 1
    count.saidAtMs = performance.now()
    const reply = await calls.ask(count.key, 't', total, limit)
    count.wanted -= 1
    if (reply !== 0) count.held += 1
    if (reply === 1) count.told = total
    // Out of reach: the next renewal says it.
    if (reply === null) count.told = count.held
    this.#settle(user, count)
    return reply === 0 ? null : new UserSlot(this, user)
  }

  release(user: string): void {
    const count = this.#counts.get(user)
    if (count === undefined) return
    count.held -= 1
    this.#settle(user, count)
  }

  /** This node holds nothing any more, and says so with the next flush. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const { key } of this.#counts.values()) this.#options.calls.hold(key, 0)
    this.#counts.clear()
  }

  #countOf(user: string): Count {
    const known = this.#counts.get(user)
    if (known !== undefined) return known
    const key = this.#options.prefix + user
    const count = { key, held: 0, wanted: 0, told: 0, saidAtMs: 0 }
    this.#counts.set(user, count)
    return count
  }

  /** While something is asked for, Redis may believe more than is held, never less. */
  #settle(user: string, count: Count): void {
    if (count.wanted > 0) return
    if (count.held !== count.told) this.#say(count)
    if (count.held === 0) this.#counts.delete(user)
  }

  #say(count: Count): void {
    count.told = count.held
    count.saidAtMs = performance.now()
    this.#options.calls.hold(count.key, count.held)
  }

  #renew(): void {
    const before = performance.now() - this.#options.leaseMs / 3
    for (const count of this.#counts.values()) {
      if (count.saidAtMs < before && count.wanted === 0) this.#say(count)
    }
  }
}

/** One object a connection, for there are many. */
class UserSlot implements Slot {
  readonly #held: Held
  #user: string | null

  constructor(held: Held, user: string) {
    this.#held = held
    this.#user = user
  }

  release(): void {
    if (this.#user === null) return
    const user = this.#user
    this.#user = null
    this.#held.release(user)
  }
}
