import type { Database, Db } from '#db/client.ts'
import { isOutage } from '#db/errors.ts'
import { type Clock, systemClock } from './clock.ts'

/** What one partition does in a transaction. May run twice (the first time rolled back), never twice at once. */
export type Work = (transaction: Db) => Promise<void>

export interface TransactionsOptions {
  /** Transactions at the same time. */
  concurrent: number
  /** Works that share a transaction. */
  worksMax: number
  /** What comes within so many milliseconds goes together. */
  gatherMs: number
  /** The part of the time (0 to 1) that transactions may take; the rest is left to others of this machine. */
  share: number
  clock?: Clock
}

/** A server of one's own: each partition commits by itself. */
export const serverTransactions: TransactionsOptions = {
  concurrent: 4,
  worksMax: 1,
  gatherMs: 0,
  share: 1,
}

/** One connection within this machine: few and large ones, for a transaction costs more than a row. */
export const embeddedTransactions: TransactionsOptions = {
  concurrent: 1,
  worksMax: 200,
  gatherMs: 15,
  share: 0.1,
}

// However long one took, nobody waits longer than this for the next.
const restMaxMs = 1_000

interface Waiting {
  work: Work
  resolve: () => void
  reject: (error: unknown) => void
}

/** Runs works in transactions of a database; where allowed, many in one, each alone when one of them fails. */
export class Transactions {
  readonly #database: Database
  readonly #options: TransactionsOptions
  readonly #clock: Clock
  readonly #waiting: Waiting[] = []
  #running = 0
  #restUntilMs = 0
  #timer: NodeJS.Timeout | null = null
  #turns: (() => void)[] = []

  constructor(database: Database, options: TransactionsOptions) {
    this.#database = database
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Resolves when a work would soon begin: whoever waits for it before taking its records takes more of them. */
  turn(): Promise<void> {
    if (this.#isFree() && this.#clock.now() >= this.#restUntilMs) return Promise.resolve()
    return new Promise((resolve) => {
      this.#turns.push(resolve)
      this.#schedule()
    })
  }

  /** Resolves once committed; rejects with what the work or the commit failed with. */
  run(work: Work): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject })
      this.#schedule()
    })
  }

  #isFree(): boolean {
    return this.#running < this.#options.concurrent
  }

  #schedule(): void {
    const isIdle = this.#waiting.length + this.#turns.length === 0
    if (this.#timer !== null || isIdle || !this.#isFree()) return
    const restMs = Math.max(0, this.#restUntilMs - this.#clock.now())
    const waitMs = this.#waiting.length === 0 ? restMs : Math.max(restMs, this.#options.gatherMs)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#begin()
    }, waitMs)
  }

  #begin(): void {
    if (this.#waiting.length === 0) {
      // They take their records now and come with their works within the time of gathering.
      for (const turn of this.#turns.splice(0)) turn()
      return
    }
    while (this.#isFree() && this.#waiting.length > 0) {
      const works = this.#waiting.splice(0, this.#options.worksMax)
      this.#running += 1
      void this.#round(works).finally(() => {
        this.#running -= 1
        this.#schedule()
      })
    }
  }

  async #round(works: Waiting[]): Promise<void> {
    const startedMs = this.#clock.now()
    try {
      await this.#together(works)
    } finally {
      const endedMs = this.#clock.now()
      const { share } = this.#options
      this.#restUntilMs =
        endedMs + Math.min(restMaxMs, ((endedMs - startedMs) * (1 - share)) / share)
    }
  }

  async #together(works: Waiting[]): Promise<void> {
    try {
      await this.#database.transaction(async (transaction) => {
        for (const { work } of works) await work(transaction)
      })
    } catch (error) {
      if (works.length > 1 && !isOutage(error)) {
        for (const work of works) await this.#together([work])
      } else {
        for (const { reject } of works) reject(error)
      }
      return
    }
    for (const { resolve } of works) resolve()
  }
}
