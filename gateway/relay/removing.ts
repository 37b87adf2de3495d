import type { Log } from '#runtime/log.ts'
import type { Entry, Outbox } from './outbox.ts'

const gatherMs = 2
const retryMs = 250

interface Waiting {
  shard: number
  entries: readonly Entry[]
  resolve(): void
}

/**
 * Takes out of the outbox what the log has, many shards in one script, again and again until it is done: nothing else
 * would, as long as this relay lives.
 */
export class Removing implements Disposable {
  readonly #outbox: Outbox
  readonly #log: Log
  #waiting: Waiting[] = []
  #timer: Timer | null = null
  #isOver = false

  constructor(outbox: Outbox, log: Log) {
    this.#outbox = outbox
    this.#log = log
  }

  /** Resolves once they are gone, or this is over. */
  remove(shard: number, entries: readonly Entry[]): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ shard, entries, resolve })
      this.#later(gatherMs)
    })
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const { resolve } of this.#waiting.splice(0)) resolve()
  }

  #later(ms: number): void {
    if (this.#isOver) return
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      void this.#flush()
    }, ms)
  }

  async #flush(): Promise<void> {
    const lot = this.#waiting.splice(0)
    const taken = new Map<number, Entry[]>()
    for (const { shard, entries } of lot) {
      const before = taken.get(shard)
      if (before === undefined) taken.set(shard, [...entries])
      else before.push(...entries)
    }
    try {
      await this.#outbox.remove(taken)
      for (const { resolve } of lot) resolve()
    } catch (error) {
      this.#log.debug('what the log has cannot be taken out yet', { error })
      if (this.#isOver) for (const { resolve } of lot) resolve()
      this.#waiting.unshift(...lot)
      this.#later(retryMs)
    }
  }
}
