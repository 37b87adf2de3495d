import type { Generations, Outcome } from '#gateway/generations/generations.ts'
import type { Begin, Finish, Run } from '#gateway/generations/steps.ts'
import { appendStep, beginStep, eventOf, finishStep, newSession, runOf } from './generations-kit.ts'

/** What became of an answer, as its owner knows. */
export interface Made {
  begin: Begin
  texts: string[]
  /** null: another has ended it. */
  outcome: Outcome | null
}

const runChunks = 5
const patienceMs = 25_000

/** Repeats a step as it was while its outcome is unknown. */
export async function stubborn<T>(step: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      return await step()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await Bun.sleep(25)
    }
  }
}

export interface OwnerOptions {
  chunks: number
  pauseMs: number
  session?: Begin['session']
  leaseMs?: number
  /** After the step that has written so many chunks. */
  onChunk?: (written: number, messageId: string) => Promise<void> | void
}

/** An owner as stubborn as a gateway's: makes one answer from its question to its end, whatever happens meanwhile. */
export async function makeAnswer(
  generations: Pick<Generations, 'begin' | 'append' | 'finish'>,
  { chunks, pauseMs, session = newSession(), leaseMs = 10_000, onChunk }: OwnerOptions,
): Promise<Made> {
  const begin = beginStep(session, { leaseMs })
  const texts = Array.from({ length: chunks }, (_, index) => `${index} `)
  const owner = new Owner(generations, begin, texts)
  const first = await stubborn(() => generations.begin(begin))
  if (first.is !== 'applied' && !(first.is === 'already' && first.messageId === begin.messageId)) {
    throw new Error(`not begun: ${first.is}`)
  }
  for (let written = 0; written < chunks; ) {
    const count = Math.min(1 + (written % 3), chunks - written)
    written += count
    if (!(await owner.write(written))) return { begin, texts, outcome: null }
    await onChunk?.(written, begin.messageId)
    if (pauseMs > 0) await Bun.sleep(pauseMs)
  }
  return { begin, texts, outcome: await owner.end() }
}

class Owner {
  readonly #generations: Pick<Generations, 'begin' | 'append' | 'finish'>
  readonly #begin: Begin
  readonly #texts: string[]
  #next = 0
  #told = 0

  constructor(
    generations: Pick<Generations, 'begin' | 'append' | 'finish'>,
    begin: Begin,
    texts: string[],
  ) {
    this.#generations = generations
    this.#begin = begin
    this.#texts = texts
  }

  /** False: another has taken it. */
  async write(to: number): Promise<boolean> {
    const step = () => {
      const texts = this.#texts.slice(this.#next, to)
      return appendStep(this.#begin, this.#next, texts, this.#runs(to))
    }
    for (let made = step(); ; ) {
      const [result] = await stubborn(() => this.#generations.append([made]))
      switch (result?.is) {
        case 'applied':
        case 'already':
          this.#next = to
          this.#told = made.runs.at(-1)?.to ?? this.#told
          return true
        case 'behind':
          this.#next = result.next
          made = step()
          break
        case 'told':
          this.#told = result.told
          made = step()
          break
        case 'lost':
          if (!(await this.#beginAgain())) return false
          made = step()
          break
        default:
          return false
      }
    }
  }

  async end(): Promise<Outcome | null> {
    const chunks = this.#texts.length
    const content = this.#texts.join('')
    const { session, messageId } = this.#begin
    const events = ['STREAM_COMPLETED', 'CHAT_MESSAGE'].map((type) =>
      eventOf(session, type, { messageId }),
    )
    let finish: Finish = finishStep(this.#begin, chunks, { content, runs: this.#rest(), events })
    for (;;) {
      const result = await stubborn(() => this.#generations.finish(finish))
      switch (result.is) {
        case 'applied':
          return finish.outcome
        case 'already':
          return result.outcome
        case 'refused':
          return null
        case 'told':
          this.#told = result.told
          break
        case 'behind':
          this.#next = result.next
          if (!(await this.write(chunks))) return null
          break
        case 'lost':
          if (!(await this.#beginAgain()) || !(await this.write(chunks))) return null
      }
      finish = { ...finish, runs: this.#rest() }
    }
  }

  async #beginAgain(): Promise<boolean> {
    const again = { ...this.#begin, ifAbsent: 'create' as const }
    const result = await stubborn(() => this.#generations.begin(again))
    this.#next = 0
    this.#told = 0
    return (
      result.is === 'applied' || (result.is === 'already' && result.messageId === again.messageId)
    )
  }

  #runs(to: number): Run[] {
    return to - this.#told >= runChunks ? [runOf(this.#begin, this.#told, to)] : []
  }

  #rest(): Run[] {
    const { length } = this.#texts
    return this.#told < length ? [runOf(this.#begin, this.#told, length)] : []
  }
}
