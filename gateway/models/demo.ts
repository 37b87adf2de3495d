import { answerTo, diceOf, longAnswerTo, thoughtsOn, tokensOf } from './demo-answer.ts'
import {
  type Model,
  type ModelEnd,
  ModelError,
  type ModelErrorType,
  type ModelRequest,
  type ModelSink,
} from './model.ts'
import { TimerWheel, type Turn } from './timer-wheel.ts'

export interface DemoOptions {
  /** 40 by default; 0: without a pause, all that is left in one step. */
  tokensPerSecond?: number
  /** Before the first token; 250 by default. */
  firstTokenMs?: number
  /** Another seed gives other answers to the same questions. */
  seed?: string
  /** A fault of every answer that has no `/error` of its own. */
  fault?: Fault
}

interface Fault {
  errorType: ModelErrorType
  afterTokens: number
}

interface Plan {
  reasoning: string[]
  text: string[]
  firstTokenMs: number
  pauseMs: number
  fault: Fault | null
  /** A silence before the token of that number. */
  stall: { at: number; ms: number } | null
  finishReason: string
}

const faults: readonly string[] = ['rate_limit', 'timeout', 'connection', 'upstream']

/**
 * A model without a model: deterministic Markdown by the question, at a settable pace. Words in the question steer it:
 *
 * - `/slow`, `/fast`: 4 tokens a second; 1,000 tokens a second, from the first moment
 * - `/long [tokens]`: that many tokens, 2,000 by default
 * - `/reasoning`: thinks aloud before it answers
 * - `/stall [ms]`: falls silent in the middle, 15,000 by default
 * - `/echo`: answers with the question, without these words
 * - `/error <rate_limit|timeout|connection|upstream> [tokens]`: fails after so many tokens, 12 by default
 */
export function demoModel(options: DemoOptions = {}): Model {
  const wheel = new TimerWheel()
  return {
    async health() {
      return { state: 'off' }
    },
    stream(request, sink, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason)
          return
        }
        sink.status('thinking')
        const plan = planOf(request, options)
        const answer = new Answer(plan, sink, (end) => {
          signal.removeEventListener('abort', abort)
          if (end instanceof Error) reject(end)
          else resolve({ finishReason: plan.finishReason, usage: usageOf(request, answer) })
        })
        const abort = () => {
          answer.stop()
          reject(signal.reason)
        }
        signal.addEventListener('abort', abort, { once: true })
        wheel.add(answer, plan.firstTokenMs)
      })
    },
  }
}

/** One answer on the wheel. */
class Answer implements Turn {
  /** Tokens that have been said, of both kinds. */
  said = 0
  readonly plan: Plan
  readonly #sink: ModelSink
  readonly #settle: (end: Error | null) => void
  #isOver = false
  #hasStalled = false

  constructor(plan: Plan, sink: ModelSink, settle: (end: Error | null) => void) {
    this.plan = plan
    this.#sink = sink
    this.#settle = settle
  }

  stop(): void {
    this.#isOver = true
  }

  step(): number {
    const { pauseMs } = this.plan
    try {
      do {
        const waitMs = this.#isOver ? -1 : this.#say()
        if (waitMs !== 0) return waitMs
      } while (pauseMs === 0)
      return pauseMs
    } catch (error) {
      // A fault of whoever listens ends this answer; the others on the wheel go on.
      return this.#end(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** 0 when a token was said, else the pause to make first, negative at the end. */
  #say(): number {
    const { reasoning, text, fault, stall } = this.plan
    if (fault !== null && this.said >= fault.afterTokens) {
      const { errorType } = fault
      return this.#end(new ModelError(errorType, `the demo model was asked for ${errorType}`))
    }
    if (stall !== null && !this.#hasStalled && this.said >= stall.at) {
      this.#hasStalled = true
      return stall.ms
    }
    const at = this.said - reasoning.length
    const token = at < 0 ? reasoning[this.said] : text[at]
    if (token === undefined) return this.#end(null)
    this.said += 1
    this.#sink.delta(at < 0 ? 'reasoning' : 'text', token)
    return 0
  }

  #end(end: Error | null): -1 {
    this.#isOver = true
    this.#settle(end)
    return -1
  }
}

function planOf(request: ModelRequest, options: DemoOptions): Plan {
  const { tokensPerSecond = 40, firstTokenMs = 250, seed = '', fault = null } = options
  const asked = request.messages.findLast(({ role }) => role === 'user')?.content ?? ''
  const { rest, has } = directivesOf(asked)
  const dice = diceOf(`${seed}${asked}`)
  const isFast = has('fast') !== null
  const pace = isFast ? 1000 : has('slow') === null ? tokensPerSecond : 4
  const reasoning = has('reasoning') === null ? [] : tokensOf(thoughtsOn(rest, dice))
  const long = has('long')
  const whole =
    has('echo') !== null
      ? tokensOf(rest)
      : long === null
        ? tokensOf(answerTo(rest, dice))
        : longAnswerTo(rest, dice, numberOf(long[0], 2000))
  const { maxTokens = Number.POSITIVE_INFINITY } = request
  const isCut = whole.length + reasoning.length > maxTokens
  const text = isCut ? whole.slice(0, Math.max(0, maxTokens - reasoning.length)) : whole
  const stall = has('stall')
  return {
    reasoning: reasoning.slice(0, maxTokens),
    text,
    firstTokenMs: isFast ? 0 : firstTokenMs,
    pauseMs: pace === 0 ? 0 : 1000 / pace,
    fault: faultOf(has('error')) ?? fault,
    stall: stall && { at: reasoning.length + (text.length >> 1), ms: numberOf(stall[0], 15_000) },
    finishReason: isCut ? 'length' : 'stop',
  }
}

/** `has` answers the words after the directive, as many as it may have, or null. */
function directivesOf(question: string): {
  rest: string
  has(name: string): string[] | null
} {
  const found = new Map<string, string[]>()
  const pattern =
    /(?<=^|\s)\/(?:(slow|fast|reasoning|echo)|(long|stall)(?: +(\d+))?|(error) +([a-z_]+)(?: +(\d+))?)(?=\s|$)/g
  const rest = question.replace(pattern, (_whole, plain, counted, count, error, type, after) => {
    if (plain !== undefined) found.set(plain, [])
    if (counted !== undefined) found.set(counted, [count])
    if (error !== undefined) found.set(error, [type, after])
    return ''
  })
  return { rest: rest.trim(), has: (name) => found.get(name) ?? null }
}

function faultOf(words: string[] | null): Fault | null {
  const type = words?.[0]
  if (type === undefined || !faults.includes(type)) return null
  return { errorType: type as ModelErrorType, afterTokens: numberOf(words?.[1], 12) }
}

function numberOf(word: string | undefined, otherwise: number): number {
  return word === undefined ? otherwise : Math.min(Number(word), 1_000_000)
}

function usageOf(request: ModelRequest, { said, plan }: Answer): ModelEnd['usage'] & object {
  const inputTokens = request.messages.reduce(
    (sum, { content }) => sum + Math.ceil(content.length / 4) + 4,
    0,
  )
  const thought = Math.min(said, plan.reasoning.length)
  return { inputTokens, outputTokens: said, ...(thought > 0 && { reasoningTokens: thought }) }
}
