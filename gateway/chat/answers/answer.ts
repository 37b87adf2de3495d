import { context } from '@opentelemetry/api'
import type { Log } from '#runtime/log.ts'
import type { ChatConfig } from '../../config.ts'
import type { Generations, Live, Outcome, Status, Watch } from '../../generations/generations.ts'
import type { Finish } from '../../generations/steps.ts'
import { type Model, ModelError } from '../../models/model.ts'
import { DeltaSplitter } from '../text.ts'
import { type Ending, endStep } from './ending.ts'
import { endSpan, type Job } from './job.ts'
import { Outgoing } from './outgoing.ts'
import { repeated } from './repeated.ts'
import { type RunsOptions, runsOver } from './runs.ts'
import { Transcript } from './transcript.ts'
import type { Writer } from './writer.ts'

// How often an answer begins, the first time included: each time but that, hot state has lost it.
const livesMax = 5

export interface AnswerDeps {
  generations: Generations
  model: Model
  writer: Writer
  log: Log
  nodeId: string
  config: ChatConfig
  /** How long hot state may be away before the answer is left to the sweep. */
  outageMs: number
  now: () => number
}

/** The making of one assistant message by this node, its owner, from acceptance to its one end. */
export class Answer {
  readonly job: Job
  /** The outcome that stands; null when this node is not the one to end it. */
  readonly ended: Promise<Outcome | null>
  readonly #deps: AnswerDeps
  readonly #transcript = new Transcript()
  readonly #outgoing: Outgoing
  readonly #splitter: DeltaSplitter
  readonly #upstream = new AbortController()
  readonly #runsOptions: RunsOptions
  #bytes = 0
  #lives = 1
  #firstChunkAtMs: number | undefined
  #status: Status = 'queued'
  #ending: Ending | null = null
  #timeout: Timer | null = null
  #watch: Watch | null = null
  #isOver = false
  #resolveEnded: (outcome: Outcome | null) => void = () => undefined

  constructor(job: Job, deps: AnswerDeps) {
    this.job = job
    this.#deps = deps
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    const { session, messageId, token } = job.begin
    this.#runsOptions = {
      session,
      messageId,
      nodeId: deps.nodeId,
      traceparent: job.trace.traceparent,
      chunkEventMs: deps.config.chunkEventMs,
      isCrowded: () => deps.generations.isCrowded(session.sessionId),
      eventContent: deps.config.eventContent,
      now: deps.now,
    }
    this.#outgoing = new Outgoing({
      ...this.#runsOptions,
      token,
      transcript: this.#transcript,
      writer: deps.writer,
      onStalled: (isStalled) => this.#tell(isStalled ? 'stalled' : this.#status),
      onGone: () => this.#over(null),
      onLost: () => void this.#beginAgain(),
    })
    this.#splitter = new DeltaSplitter((chunk) => {
      if (this.#ending !== null) return
      if (this.#bytes + chunk.bytes > deps.config.maxAnswerBytes) {
        this.end({ outcome: 'failed', errorType: 'too_large' })
        return
      }
      this.#bytes += chunk.bytes
      this.#outgoing.push(chunk)
    })
  }

  get messageId(): string {
    return this.job.begin.messageId
  }

  start(): void {
    const { generationTimeoutMs } = this.#deps.config
    this.#timeout = setTimeout(
      () => this.end({ outcome: 'failed', errorType: 'timeout' }),
      generationTimeoutMs,
    )
    this.#tell('queued')
    void this.#listen()
    void this.#ask()
  }

  /** The first ending stands; `ended` says what became of it. */
  end(ending: Ending): void {
    if (this.#ending !== null || this.#isOver) return
    const isTooLarge = ending.outcome === 'failed' && ending.errorType === 'too_large'
    if (!isTooLarge) this.#splitter.end()
    if (this.#ending !== null) return
    this.#ending = ending
    this.#upstream.abort(new Error(`the answer has ended: ${ending.outcome}`))
    if (this.#timeout !== null) clearTimeout(this.#timeout)
    void this.#finish(ending)
  }

  /** Tells the chunks that wait for their event past their time. */
  tellOverdue(nowMs: number): void {
    if (this.#ending === null) this.#outgoing.tellOverdue(nowMs)
  }

  /** Another node has claimed it, or ended it: nothing more of it is ours. */
  deposed(): void {
    this.#outgoing.gone()
  }

  /** Hot state may have forgotten it, or given it to another. */
  async doubted(): Promise<void> {
    const known = await this.#deps.generations.find(this.messageId)
    if (known === null) this.#outgoing.lost()
    else this.deposed()
  }

  async #ask(): Promise<void> {
    const { trace, request } = this.job
    const sink = {
      delta: (kind: 'text' | 'reasoning', text: string) => {
        if (this.#ending !== null || text === '') return
        if (this.#firstChunkAtMs === undefined) this.#firstChunkAtMs = this.#deps.now()
        this.#turn('streaming')
        this.#splitter.delta(kind, text)
      },
      status: (status: 'queued' | 'thinking' | 'tool') => {
        if (this.#ending === null) this.#turn(status)
      },
    }
    try {
      const stream = () => this.#deps.model.stream(request, sink, this.#upstream.signal)
      const { finishReason, usage } = await context.with(trace.context, stream)
      this.end({ outcome: 'completed', finishReason, ...(usage && { usage }) })
    } catch (error) {
      this.#modelFailed(error)
    }
  }

  #modelFailed(error: unknown): void {
    if (this.#upstream.signal.aborted) return
    const errorType = error instanceof ModelError ? error.errorType : 'upstream'
    const { messageId } = this
    this.#deps.log.warn('the model failed', { messageId, errorType, error })
    this.end({ outcome: 'failed', errorType })
  }

  #turn(status: Status): void {
    if (this.#status === status) return
    this.#status = status
    if (!this.#outgoing.isStalled) this.#tell(status)
  }

  #tell(status: Status): void {
    if (this.#isOver) return
    const { session, messageId } = this.job.begin
    this.#deps.generations.setStatus(session.sessionId, messageId, status)
  }

  /** A claim by another node is heard here long before the next write or renewal is refused. */
  async #listen(): Promise<void> {
    const { session, messageId } = this.job.begin
    try {
      const hear = (live: Live) => {
        if (live.type === 'claimed' && live.messageId === messageId) this.deposed()
      }
      // Not the steps: they are its own.
      const only = { only: 'claimed' } as const
      const watch = await this.#deps.generations.watch(session.sessionId, hear, only)
      if (this.#isOver) watch.close()
      else this.#watch = watch
    } catch (error) {
      this.#deps.log.warn('an answer is not watched for claims', { messageId, error })
    }
  }

  async #finish(ending: Ending): Promise<void> {
    try {
      let step: Finish | null = null
      for (;;) {
        if ((await this.#outgoing.written()) === 'gone') return
        step ??= this.#lastStep(ending)
        const outcome = await this.#tryFinish(step)
        if (outcome !== null) {
          this.#over(outcome)
          return
        }
      }
    } catch (error) {
      const { messageId } = this
      this.#deps.log.error('an answer is left without its end', { messageId, error })
      this.deposed()
    }
  }

  #lastStep(ending: Ending): Finish {
    const { begin, trace } = this.job
    const { nodeId, config, now } = this.#deps
    const end = endStep(
      {
        ...begin,
        acceptedAtMs: begin.at,
        nodeId,
        traceparent: trace.traceparent,
        eventContent: config.eventContent,
      },
      {
        ending,
        transcript: this.#transcript,
        atMs: now(),
        firstChunkAtMs: this.#firstChunkAtMs,
      },
    )
    const { session, messageId, token } = begin
    const runs = this.#outgoing.restOfRuns()
    return { sessionId: session.sessionId, messageId, token, ...end, runs }
  }

  /** null: something had to be sent again first. */
  async #tryFinish(step: Finish): Promise<Outcome | null> {
    const result = await repeated(() => this.#deps.generations.finish(step), {
      forMs: this.#deps.outageMs,
      onFailure: () => this.#tell('stalled'),
      isOver: () => this.#isOver,
    })
    switch (result.is) {
      case 'applied':
        return step.outcome
      case 'already':
        return result.outcome
      case 'behind':
        if (result.next > step.next) throw new Error('the log holds more than was written')
        this.#outgoing.resend(result.next)
        return null
      case 'told':
        step.runs = runsOver(this.#transcript, this.#runsOptions, {
          told: result.told,
          to: step.next,
        })
        return null
      case 'refused':
        this.deposed()
        return null
      case 'lost':
        this.#outgoing.lost()
        return null
    }
  }

  async #beginAgain(): Promise<void> {
    const { generations, log, outageMs } = this.#deps
    const { messageId } = this
    try {
      if (++this.#lives > livesMax) throw new Error('hot state loses it each time')
      const begin = { ...this.job.begin, ifAbsent: 'create' } as const
      const result = await repeated(() => generations.begin(begin), {
        forMs: outageMs,
        isOver: () => this.#isOver,
      })
      const isOurs =
        result.is === 'applied' || (result.is === 'already' && result.messageId === messageId)
      log.warn('hot state had lost an answer', { messageId, result: result.is })
      if (isOurs) this.#outgoing.again()
      else this.deposed()
    } catch (error) {
      log.error('a lost answer could not begin again', { messageId, error })
      this.deposed()
    }
  }

  #over(outcome: Outcome | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#upstream.abort(new Error('the answer is over'))
    if (this.#timeout !== null) clearTimeout(this.#timeout)
    this.#watch?.close()
    this.job.slot.release()
    endSpan(this.job.trace.span, outcome)
    this.#resolveEnded(outcome)
  }
}
