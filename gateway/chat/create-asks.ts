import { metrics } from '@opentelemetry/api'
import { uuidv7 } from '#runtime/ids.ts'
import type { Log } from '#runtime/log.ts'
import type { Cursor, Outcome, SessionRef } from '../generations/generations.ts'
import type { Erase } from '../generations/steps.ts'
import type { Model } from '../models/model.ts'
import { Abandonment } from './answers/abandonment.ts'
import { Answer } from './answers/answer.ts'
import { type EndAnswer, endPath } from './answers/end-path.ts'
import type { Job } from './answers/job.ts'
import { watchOver } from './answers/watch-over.ts'
import { Writer } from './answers/writer.ts'
import type { Asks, Who } from './asks.ts'
import { ContractError } from './errors.ts'
import { openEvent } from './open-event.ts'
import { type AskingDeps, type AskQuestion, asking } from './questions/asking.ts'
import { reached, unavailable, within } from './reached.ts'
import { isTheirs } from './sessions.ts'

export interface AsksDeps
  extends Pick<
    AskingDeps,
    'generations' | 'sessions' | 'archive' | 'limits' | 'nodeId' | 'config'
  > {
  model: Model
  log: Log
  now?: () => number
  timing?: Partial<AsksTiming>
}

export interface AsksTiming {
  leaseMs: number
  renewMs: number
  sweepMs: number
  /** Of the answer to a cancel. */
  cancelMs: number
  eraseMs: number
  /** How long an owner goes on while hot state is away. */
  outageMs: number
}

// What can't be ended in this time, as hot state is away, is left to the sweep.
const drainEndMs = 5_000

const timingDefault: AsksTiming = {
  leaseMs: 10_000,
  renewMs: 3_000,
  sweepMs: 2_000,
  cancelMs: 1_900,
  eraseMs: 10_000,
  outageMs: 30_000,
}

/**
 * The owner of this node's answers. Sweeps for answers without an owner from the start. Disposing leaves running answers
 * to the sweep of another node or of the next start: `drain` first.
 */
export function createAsks(deps: AsksDeps): Asks & AsyncDisposable {
  return new NodeAsks(deps)
}

class NodeAsks implements Asks, AsyncDisposable {
  readonly ask: AskQuestion
  readonly #deps: AsksDeps
  readonly #now: () => number
  readonly #timing: AsksTiming
  readonly #answers = new Map<string, Answer>()
  readonly #writer: Writer
  readonly #abandonment: Abandonment
  readonly #endAnswer: EndAnswer
  readonly #watchingOver: AsyncDisposable
  readonly #stopGauge: () => void
  #isDraining = false
  #beginning = 0

  constructor(deps: AsksDeps) {
    const { generations, nodeId, config, log, now = Date.now } = deps
    this.#deps = deps
    this.#now = now
    this.#timing = { ...timingDefault, ...deps.timing }
    const { leaseMs, renewMs, sweepMs, outageMs } = this.#timing
    this.#writer = new Writer({ generations, log, outageMs, now })
    this.#abandonment = new Abandonment({ ...config.chat, generations })
    this.#endAnswer = endPath({ ...config.chat, generations, nodeId, leaseMs, now })
    this.#watchingOver = watchOver({
      generations,
      answers: this.#answers,
      endAnswer: this.#endAnswer,
      log,
      leaseMs,
      renewMs,
      sweepMs,
      tellMs: config.chat.chunkEventMs,
    })
    const ask = asking({
      ...deps,
      leaseMs,
      now,
      isDraining: () => this.#isDraining,
      started: (job) => this.#started(job),
    })
    this.ask = async (who, question) => {
      this.#beginning++
      try {
        return await ask(who, question)
      } finally {
        this.#beginning--
      }
    }
    this.#stopGauge = gauge(() => this.#answers.size)
  }

  async cancel(who: Who, messageId: string): Promise<{ messageId: string; outcome: Outcome }> {
    const own = this.#answers.get(messageId)
    if (own !== undefined && !isTheirs(who, own.job.begin.session)) throw notYours()
    const outcome = await within(this.#timing.cancelMs, async (signal) => {
      own?.end({ outcome: 'cancelled', reason: 'user' })
      return (await own?.ended) ?? (await this.#cancelOther(who, messageId, signal))
    })
    return { messageId, outcome }
  }

  async erase(who: Who, sessionId: string): Promise<{ sessionId: string; cursor: Cursor }> {
    await this.#deps.sessions.check(who, sessionId)
    const { session } = await this.#deps.sessions.open(who, sessionId)
    const at = this.#now()
    const { nodeId } = this.#deps
    const event = { eventType: 'HISTORY_ERASED', session, at, nodeId, fields: {} }
    const step: Erase = {
      session,
      erasureId: uuidv7(at),
      at,
      erasedFrame: '{"type":"erased"',
      events: [openEvent(event)],
    }
    const cursor = await within(this.#timing.eraseMs, (signal) => this.#erase(step, signal))
    return { sessionId, cursor }
  }

  viewersChanged({ sessionId }: SessionRef, viewers: number): void {
    this.#abandonment.viewersChanged(sessionId, viewers)
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true
    const deadline = performance.now() + deadlineMs
    const giveUp = deadline + drainEndMs
    // A question that was on its way in when the drain began may still be accepted, so its answer is waited for.
    while (this.#answers.size > 0 || this.#beginning > 0) {
      const now = performance.now()
      if (now >= giveUp + drainEndMs) break
      for (const answer of now >= deadline ? this.#answers.values() : []) {
        answer.end({ outcome: 'interrupted', errorType: 'shutdown' })
        if (now >= giveUp) answer.deposed()
      }
      await Bun.sleep(10)
    }
  }

  activeCount(): number {
    return this.#answers.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDraining = true
    for (const answer of this.#answers.values()) answer.deposed()
    this.#stopGauge()
    this.#abandonment[Symbol.dispose]()
    this.#writer[Symbol.dispose]()
    await this.#watchingOver[Symbol.asyncDispose]()
  }

  #started(job: Job): void {
    const { generations, model, log, nodeId, config } = this.#deps
    const { outageMs } = this.#timing
    const answer = new Answer(job, {
      generations,
      model,
      writer: this.#writer,
      log,
      nodeId,
      config: config.chat,
      outageMs,
      now: this.#now,
    })
    this.#answers.set(answer.messageId, answer)
    this.#abandonment.began(answer)
    void answer.ended.then(() => {
      this.#answers.delete(answer.messageId)
      this.#abandonment.over(answer)
    })
    answer.start()
  }

  /** Of an answer that another node makes, or that has ended. */
  async #cancelOther(who: Who, messageId: string, signal: AbortSignal): Promise<Outcome> {
    const { generations, archive } = this.#deps
    const hot = await reached(() => generations.find(messageId))
    if (hot !== null) {
      if (!isTheirs(who, hot)) throw notYours()
      const outcome = hot.outcome ?? (await this.#endAnswer(messageId, 'user', { signal }))
      if (outcome !== null) return outcome
    }
    const cold = await archive.message(messageId)
    if (cold === null) throw noSuchAnswer()
    if (!isTheirs(who, cold)) throw notYours()
    if (cold.message.role !== 'assistant') throw noSuchAnswer()
    return cold.message.outcome
  }

  async #erase(step: Erase, signal: AbortSignal): Promise<Cursor> {
    for (;;) {
      signal.throwIfAborted()
      const result = await reached(() => this.#deps.generations.erase(step))
      switch (result.is) {
        case 'applied':
        case 'already':
          return { epoch: result.epoch, seq: result.seq }
        case 'forbidden':
          throw notYours()
        case 'absent':
          throw unavailable('hot state has lost the session')
        case 'busy':
          await this.#endErased(result.messageId, signal)
      }
    }
  }

  async #endErased(messageId: string, signal: AbortSignal): Promise<void> {
    const own = this.#answers.get(messageId)
    own?.end({ outcome: 'cancelled', reason: 'erased' })
    if (!(await own?.ended)) await this.#endAnswer(messageId, 'erased', { signal })
  }
}

function gauge(count: () => number): () => void {
  const active = metrics.getMeter('sluice').createObservableGauge('gateway.generations.active')
  const observe = (result: { observe(value: number): void }) => result.observe(count())
  active.addCallback(observe)
  return () => active.removeCallback(observe)
}

function notYours(): ContractError {
  return new ContractError('forbidden', 'the message belongs to another user')
}

function noSuchAnswer(): ContractError {
  return new ContractError('not_found', 'no such answer')
}
