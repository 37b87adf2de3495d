import type { Log } from '#runtime/log.ts'
import { threadLoad } from '#runtime/thread-load.ts'
import type { Generations } from '../../generations/generations.ts'
import type { Append } from '../../generations/steps.ts'
import type { Outgoing } from './outgoing.ts'

const windowMinMs = 20
const windowMaxMs = 100
/** From this window on the node is under load, and what waits is merged. */
const mergingFromMs = 40
const tickMs = 4
/** From here on hot state is called at its slower pace. */
const busyPaceFrom = 0.5
const adaptEveryMs = 100
/**
 * Steps that are due wait so long, or a call takes so long, only when there are more of them than can be written one by
 * one. Twice the usual delays of a full processor: what is merged sooner waits longer than it would have waited unmerged.
 */
const overloadedMs = 50
/**
 * Of one call of hot state: few enough that what belongs to an answer is still in the processor's cache when its frame
 * goes out. After a stop of the loop larger ones would cost so much more a chunk that it never caught up.
 */
const stepsMax = 256
/**
 * What this thread itself does for a step before the reply is read: to hear it and to send its frame. Counted as hot
 * state's, one stop of the loop kept large flushes slow, hence the window wide, hence the flushes large.
 */
const hearingMs = 0.1
const backoffMs = { min: 100, max: 2_000 }
/** Between two tries of what a part of hot state does not take, while the rest of it does. */
const partMs = 250

export interface WriterOptions {
  generations: Pick<Generations, 'append' | 'pace'>
  log: Log
  /** How long hot state may be away before an answer is given up. */
  outageMs: number
  now: () => number
}

/**
 * Writes the chunks of all answers of this node: one call of hot state at a time, at a pace.
 * A chunk goes at once when the last write of its answer is older than the window; what comes inside waits for its
 * end. The window grows while what is due is left waiting, so that what can't be written one by one is merged. How long
 * a flush takes from wish to end would be the wrong measure: a wide window makes flushes large, which would keep it wide
 * for good. So would the load of this thread: a full processor that keeps up is at its best unmerged.
 */
export class Writer implements Disposable {
  readonly #options: WriterOptions
  #ready: Outgoing[] = []
  #waiting: Outgoing[] = []
  #isScheduled = false
  #isFlushing = false
  #flushedAtMs = Number.NEGATIVE_INFINITY
  #isDisposed = false
  #tick: Timer | null = null
  #retry: Timer | null = null
  #failures = 0
  /** Of the part of hot state that is away; they are tried again together. */
  #later: Outgoing[] = []
  #laterTimer: Timer | null = null
  #adaptedAtMs = 0
  /** Since when the oldest of those that are ready waits. */
  #readySinceMs = 0
  /** Since the window was last set: the longest wait of what was ready, or time that hot state took. */
  #longestMs = 0
  #windowMs = windowMinMs
  #paceMs: number
  readonly #load = threadLoad(adaptEveryMs)

  constructor(options: WriterOptions) {
    this.#options = options
    this.#paceMs = options.generations.pace.usualMs
  }

  get isMerging(): boolean {
    return this.#windowMs >= mergingFromMs
  }

  enqueue(outgoing: Outgoing, nowMs: number): void {
    if (outgoing.isQueued || this.#isDisposed) return
    outgoing.isQueued = true
    if (outgoing.isUrgent || nowMs - outgoing.writtenAtMs >= this.#windowMs) {
      if (this.#ready.length === 0) this.#readySinceMs = nowMs
      this.#ready.push(outgoing)
      this.#schedule()
    } else {
      this.#waiting.push(outgoing)
      this.#arm()
    }
  }

  /** It has ended: nothing of it waits for a window any more. */
  hurry(outgoing: Outgoing): void {
    outgoing.isUrgent = true
    if (outgoing.isQueued) this.#promote(performance.now())
    else this.enqueue(outgoing, performance.now())
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    if (this.#tick !== null) clearTimeout(this.#tick)
    if (this.#retry !== null) clearTimeout(this.#retry)
    if (this.#laterTimer !== null) clearTimeout(this.#laterTimer)
  }

  #arm(): void {
    if (this.#tick !== null || this.#isDisposed) return
    this.#tick = setTimeout(() => {
      this.#tick = null
      this.#promote(performance.now())
    }, tickMs)
  }

  /** One look at all that wait, a few hundred times a second at most: cheaper than a timer for each. */
  #promote(nowMs: number): void {
    const still: Outgoing[] = []
    if (this.#ready.length === 0) this.#readySinceMs = nowMs
    for (const outgoing of this.#waiting) {
      const isDue = outgoing.isUrgent || nowMs - outgoing.writtenAtMs >= this.#windowMs
      ;(isDue ? this.#ready : still).push(outgoing)
    }
    this.#waiting = still
    if (still.length > 0) this.#arm()
    if (this.#ready.length > 0) this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isFlushing || this.#retry !== null || this.#isDisposed) return
    this.#isScheduled = true
    const flush = () => {
      this.#isScheduled = false
      void this.#flush()
    }
    const earlyMs = this.#flushedAtMs + this.#paceMs - performance.now()
    if (earlyMs <= 0 || this.#ready.length >= stepsMax) setImmediate(flush)
    else setTimeout(flush, Math.ceil(earlyMs))
  }

  async #flush(): Promise<void> {
    if (this.#isFlushing || this.#isDisposed) return
    this.#isFlushing = true
    this.#flushedAtMs = performance.now()
    this.#longestMs = Math.max(this.#longestMs, this.#flushedAtMs - this.#readySinceMs)
    const { batch, steps } = this.#take()
    try {
      if (steps.length > 0) await this.#append(batch, steps)
    } finally {
      this.#isFlushing = false
    }
    if (this.#ready.length > 0) this.#schedule()
  }

  #take(): { batch: Outgoing[]; steps: Append[] } {
    const batch: Outgoing[] = []
    const steps: Append[] = []
    const ready = this.#ready
    const epochMs = this.#options.now() - performance.now()
    this.#ready = ready.length > stepsMax ? ready.splice(stepsMax) : []
    for (const outgoing of ready) {
      outgoing.isQueued = false
      const step = outgoing.take(epochMs)
      if (step === null) continue
      // Queued while its step is unknown, so that chunks that come meanwhile don't queue it twice.
      outgoing.isQueued = true
      batch.push(outgoing)
      steps.push(step)
    }
    return { batch, steps }
  }

  async #append(batch: Outgoing[], steps: Append[]): Promise<void> {
    // The window runs from here: from the reply on, what hot state takes and the wait for a flush would add to it, and of
    // thirty tokens a second each would find the one before still inside.
    const writtenAtMs = this.#flushedAtMs
    const appending = this.#options.generations.append(steps)
    // What is done before it answers is this thread's own load, counted as such.
    const sentAtMs = performance.now()
    let results: Awaited<typeof appending>
    try {
      results = await appending
    } catch (error) {
      this.#failed(batch, error)
      return
    }
    const nowMs = performance.now()
    this.#failures = 0
    this.#adapt(nowMs, nowMs - sentAtMs - steps.length * hearingMs)
    for (const [index, outgoing] of batch.entries()) {
      const result = results[index]
      if (result?.is === 'unknown') {
        this.#postpone(outgoing, nowMs, result.error)
        continue
      }
      outgoing.isQueued = false
      outgoing.writtenAtMs = writtenAtMs
      if (result !== undefined) outgoing.settle(result)
    }
  }

  #postpone(outgoing: Outgoing, nowMs: number, error: unknown): void {
    const { log, outageMs } = this.#options
    if (this.#later.length === 0 && !outgoing.isStalled) {
      log.warn('a part of hot state took no chunks', { error })
    }
    outgoing.unknown(nowMs, outageMs)
    this.#later.push(outgoing)
    if (this.#isDisposed) return
    this.#laterTimer ??= setTimeout(() => {
      this.#laterTimer = null
      this.#ready.push(...this.#later.splice(0))
      this.#schedule()
    }, partMs)
  }

  #failed(batch: Outgoing[], error: unknown): void {
    const nowMs = performance.now()
    if (this.#failures === 0) this.#options.log.warn('hot state took no chunks', { error })
    for (const outgoing of batch) {
      outgoing.unknown(nowMs, this.#options.outageMs)
      this.#ready.push(outgoing)
    }
    const pauseMs = Math.min(backoffMs.max, backoffMs.min * 2 ** this.#failures)
    this.#failures++
    if (this.#isDisposed) return
    this.#retry = setTimeout(() => {
      this.#retry = null
      this.#schedule()
    }, pauseMs)
  }

  #adapt(nowMs: number, appendMs: number): void {
    this.#longestMs = Math.max(this.#longestMs, appendMs)
    if (nowMs - this.#adaptedAtMs < adaptEveryMs) return
    this.#adaptedAtMs = nowMs
    const { usualMs, busyMs } = this.#options.generations.pace
    this.#paceMs = this.#load(nowMs) >= busyPaceFrom ? busyMs : usualMs
    const isOverloaded = this.#longestMs > overloadedMs
    this.#longestMs = 0
    this.#windowMs = isOverloaded
      ? Math.min(windowMaxMs, this.#windowMs * 1.25)
      : Math.max(windowMinMs, this.#windowMs / 1.25)
  }
}
