import type { Append, AppendResult, Run } from '../../generations/steps.ts'
import { type Chunk, chunkBytesMax } from '../text.ts'
import { Runs, type RunsOptions, runsOver } from './runs.ts'
import type { Transcript } from './transcript.ts'
import type { Writer } from './writer.ts'

export interface OutgoingOptions extends RunsOptions {
  token: string
  transcript: Transcript
  writer: Writer
  /** Writing stands still, or goes on again. */
  onStalled(isStalled: boolean): void
  /** Another owns the answer, it has ended, or hot state was away too long: nothing more is written. */
  onGone(): void
  /** Hot state knows nothing of the answer: it must begin again, then `again()`. */
  onLost(): void
}

/** The chunks of one answer that are on their way into the log. One step at a time is unacknowledged. */
export class Outgoing {
  readonly #options: OutgoingOptions
  readonly #runs: Runs
  #unsent: Chunk[] = []
  /** Sent, its outcome not known yet: sent again as it was until it is. */
  #step: Append | null = null
  #isGone = false
  #isLost = false
  #isTelling = false
  #stalledSinceMs: number | null = null
  #told = 0
  #waiting: (() => void) | null = null

  /** Of the writer. */
  isQueued = false
  isUrgent = false
  writtenAtMs = Number.NEGATIVE_INFINITY

  constructor(options: OutgoingOptions) {
    this.#options = options
    this.#runs = new Runs(options, 0)
  }

  get #isWritten(): boolean {
    return this.#step === null && this.#unsent.length === 0 && !this.#isLost
  }

  get isStalled(): boolean {
    return this.#stalledSinceMs !== null
  }

  push(chunk: Chunk): void {
    const { writer } = this.#options
    const last = writer.isMerging ? this.#unsent.at(-1) : undefined
    if (last?.part === chunk.part && last.bytes + chunk.bytes <= chunkBytesMax) {
      last.text += chunk.text
      last.bytes += chunk.bytes
      return
    }
    this.#unsent.push(chunk)
    if (!this.isQueued) writer.enqueue(this, chunk.atMs)
  }

  /** The model pauses: a run that no further chunk closes is told by itself. */
  tellOverdue(nowMs: number): void {
    if (!this.#isWritten || this.#isGone || !this.#runs.isOverdue(nowMs)) return
    this.#isTelling = true
    this.#options.writer.enqueue(this, nowMs)
  }

  /** Resolves once every chunk is in the log (`written`) or nothing more will be (`gone`). Nothing waits for its window. */
  async written(): Promise<'written' | 'gone'> {
    while (!this.#isGone && !this.#isWritten) {
      this.#options.writer.hurry(this)
      await new Promise<void>((resolve) => {
        this.#waiting = resolve
      })
    }
    return this.#isGone ? 'gone' : 'written'
  }

  /**
   * For the writer: what to send now; null when there is nothing. `epochMs`: what the clock of chunks has to be moved by
   * to be that of steps.
   */
  take(epochMs: number): Append | null {
    if (this.#isGone || this.#isLost) return null
    if (this.#step !== null) return this.#step
    const chunks = this.#unsent
    const { transcript, session, messageId, token } = this.#options
    const { sessionId } = session
    this.#unsent = []
    const next = transcript.next
    const runs: Run[] = []
    for (const chunk of chunks) {
      transcript.add(chunk)
      this.#runs.add(chunk, runs)
    }
    const [first] = chunks
    if (first === undefined && this.#isTelling) this.#runs.close(runs)
    this.#isTelling = false
    if (first === undefined && runs.length === 0) return null
    this.#step =
      first === undefined
        ? { sessionId, messageId, token, next, chunks, runs }
        : { sessionId, messageId, token, next, chunks, runs, at: epochMs + first.atMs }
    return this.#step
  }

  /** For the writer: what became of the step. */
  settle(result: AppendResult): void {
    const step = this.#step
    if (step === null || this.#isGone) return
    if (this.#stalledSinceMs !== null) {
      this.#stalledSinceMs = null
      this.#options.onStalled(false)
    }
    switch (result.is) {
      case 'applied':
      case 'already':
        this.#step = null
        this.#told = step.runs.at(-1)?.to ?? this.#told
        break
      case 'behind':
        this.#resend(result.next, step.runs)
        break
      case 'told':
        this.#step = { ...step, runs: this.#toldFrom(result.told) }
        break
      case 'refused':
        this.gone()
        return
      case 'lost':
        this.lost()
        return
    }
    if (this.#isWritten) this.#wake()
    else this.#options.writer.enqueue(this, performance.now())
  }

  /** For the writer: the outcome is unknown. After `outageMs` of that the answer is given up. */
  unknown(nowMs: number, outageMs: number): void {
    if (this.#isGone) return
    if (this.#stalledSinceMs === null) {
      this.#stalledSinceMs = nowMs
      this.#options.onStalled(true)
    }
    if (nowMs - this.#stalledSinceMs > outageMs) this.gone()
  }

  /** What the last step of the answer has to tell. Only once all is `written`. */
  restOfRuns(): Run[] {
    const { transcript } = this.#options
    const rest: Run[] = []
    this.#runs.close(rest)
    if (rest.length === 0 && this.#told < transcript.next) return this.#toldFrom(this.#told)
    return rest
  }

  /** The end of the answer found that the log ends at chunk `next`. */
  resend(next: number): void {
    this.#resend(next, [])
    this.#options.writer.enqueue(this, performance.now())
  }

  /** It has begun again: everything is sent from the start. */
  again(): void {
    if (this.#isGone) return
    this.#isLost = false
    this.#told = 0
    this.#step = null
    if (this.#options.transcript.next > 0) this.#resend(0, this.#toldFrom(0))
    if (this.#isWritten) this.#wake()
    else this.#options.writer.enqueue(this, performance.now())
  }

  lost(): void {
    if (this.#isGone || this.#isLost) return
    this.#isLost = true
    this.#options.onLost()
  }

  gone(): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#step = null
    this.#unsent = []
    this.#wake()
    this.#options.onGone()
  }

  #resend(next: number, runs: Run[]): void {
    const { transcript, session, messageId, token } = this.#options
    const chunks = transcript.chunks(next, transcript.next)
    this.#step = { sessionId: session.sessionId, messageId, token, next, chunks, runs }
  }

  #toldFrom(told: number): Run[] {
    return runsOver(this.#options.transcript, this.#options, { told, to: this.#runs.told })
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = null
    waiting?.()
  }
}
