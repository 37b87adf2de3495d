/** Something that runs step by step. */
export interface Turn {
  /** Does what is due and answers the pause before the next step in ms, negative when it is over. */
  step(): number
}

interface Entry {
  turn: Turn
  /** When the next step is due; advances by the pauses alone, so that no pace drifts. */
  atMs: number
}

const tickMs = 5
const slots = 512

/**
 * One timer for all turns: thousands of answers, each with a token every few milliseconds, cost an array push per
 * token. The timer runs only while there are turns. A pause longer than the wheel's circumference takes more rounds.
 */
export class TimerWheel {
  readonly #slots: Entry[][] = Array.from({ length: slots }, () => [])
  #timer: ReturnType<typeof setInterval> | undefined
  /** The last tick whose slot was visited. */
  #tick = 0
  #entries = 0

  /** The first step comes after `delayMs`. */
  add(turn: Turn, delayMs: number): void {
    const now = performance.now()
    if (this.#timer === undefined) {
      this.#tick = Math.floor(now / tickMs)
      this.#timer = setInterval(() => this.#turn(), tickMs)
    }
    this.#entries += 1
    this.#put({ turn, atMs: now + delayMs })
  }

  #put(entry: Entry): void {
    const tick = Math.max(Math.ceil(entry.atMs / tickMs), this.#tick + 1)
    this.#slots[tick % slots]?.push(entry)
  }

  #turn(): void {
    const now = performance.now()
    const last = Math.floor(now / tickMs)
    // After a long stop of the process one round visits every slot, and so all that is overdue.
    this.#tick = Math.max(this.#tick, last - slots)
    while (this.#tick < last) {
      this.#tick += 1
      const at = this.#tick % slots
      const due = this.#slots[at]
      if (due === undefined || due.length === 0) continue
      this.#slots[at] = []
      for (const entry of due) this.#run(entry, now)
    }
    if (this.#entries > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #run(entry: Entry, now: number): void {
    while (entry.atMs <= now) {
      const pauseMs = entry.turn.step()
      if (pauseMs < 0) {
        this.#entries -= 1
        return
      }
      entry.atMs += pauseMs
    }
    this.#put(entry)
  }
}
