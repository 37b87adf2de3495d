import type { Begin } from '../steps.ts'
import type { Written } from './said.ts'

/** An answer that this process owns, as far as it knows. */
export interface OwnedAnswer {
  sessionId: string
  messageId: string
  token: string
  leaseMs: number
  /** Where it stands: chunk `i` at `startedSeq + 1 + i`. Epoch 0: not known. */
  epoch: number
  startedSeq: number
  /** What does not change from chunk to chunk. */
  keys: { answer: string; log: string; deltas: string }
  writer: string
  /** What it has written, to be said again. */
  written: Written
  /** A step's outcome was unknown: watchers have perhaps not heard it. */
  isDoubted: boolean
  /** Redis was away when its status changed: watchers of this process have heard another than Redis knows. */
  isStatusOurs: boolean
}

/** For the leases of a process's own answers, and for what their chunks need not ask. */
export class Owned {
  readonly #answers = new Map<string, OwnedAnswer>()
  readonly #sessions = new Map<string, string>()
  /** Called when a session begins or ceases to have an answer of this process. */
  onChange: (sessionId: string) => void = () => undefined

  add(base: string, begin: Begin): void {
    const { messageId, token, leaseMs } = begin
    const { sessionId } = begin.session
    const keys = {
      answer: `${base}g:${messageId}`,
      log: `${base}l:${sessionId}`,
      deltas: `${base}d:${sessionId}`,
    }
    const known = { sessionId, messageId, token, leaseMs, keys }
    const written: Written = { begin, codes: [], lengths: [] }
    const state = {
      epoch: 0,
      startedSeq: 0,
      writer: '',
      written,
      isDoubted: false,
      isStatusOurs: false,
    }
    this.#answers.set(messageId, { ...known, ...state })
    this.#sessions.set(sessionId, messageId)
    this.onChange(sessionId)
  }

  /** Where it stands, as a step has just said. */
  place(messageId: string, epoch: number, startedSeq: number): void {
    const answer = this.#answers.get(messageId)
    if (answer === undefined) return
    if (answer.epoch === epoch && answer.startedSeq === startedSeq) return
    answer.epoch = epoch
    answer.written.last = { epoch, seq: startedSeq }
    answer.startedSeq = startedSeq
    answer.writer = `${answer.token} ${epoch} ${startedSeq}`
  }

  get(messageId: string): OwnedAnswer | undefined {
    return this.#answers.get(messageId)
  }

  has(sessionId: string): boolean {
    return this.#sessions.has(sessionId)
  }

  delete(messageId: string): void {
    const answer = this.#answers.get(messageId)
    if (answer === undefined) return
    this.#answers.delete(messageId)
    if (this.#sessions.get(answer.sessionId) !== messageId) return
    this.#sessions.delete(answer.sessionId)
    this.onChange(answer.sessionId)
  }

  all(): OwnedAnswer[] {
    return [...this.#answers.values()]
  }
}
