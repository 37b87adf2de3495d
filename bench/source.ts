/**
 * A token is its own due time, so that whatever a server merges or delays can be judged against the schedule: 6
 * characters of base 36, tens of microseconds since `epochMs`, which generator and servers of a run share.
 */
export const tokenLength = 6
const unitsPerMs = 100

/** Milliseconds on a clock that all processes of this machine share. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

export function tokenOf(dueMs: number, epochMs: number): string {
  return Math.round((dueMs - epochMs) * unitsPerMs)
    .toString(36)
    .padStart(tokenLength, '0')
}

export function dueOf(token: string, epochMs: number): number {
  return Number.parseInt(token, 36) / unitsPerMs + epochMs
}

/** One answer under way. */
interface Flow {
  nextMs: number
  left: number
  readonly everyMs: number
  readonly token: (text: string) => void
  readonly end: () => void
}

export interface FlowOptions {
  tokensPerSecond: number
  tokens: number
  token(text: string): void
  end(): void
}

/** All answers of a process by one timer of a millisecond, so that the source costs the same beside every server. */
export class Source {
  readonly #epochMs: number
  readonly #slots: Set<Flow>[] = Array.from({ length: 1024 }, () => new Set())
  #doneMs = 0
  #timer: NodeJS.Timeout | null = null
  #flows = 0

  constructor(epochMs: number) {
    this.#epochMs = epochMs
  }

  /** Starts one; the answer stops it. */
  start(options: FlowOptions): () => void {
    const everyMs = 1_000 / options.tokensPerSecond
    // By chance within a period: users do not ask in step.
    const nextMs = nowMs() + Math.random() * everyMs
    const flow: Flow = {
      nextMs,
      left: options.tokens,
      everyMs,
      token: options.token,
      end: options.end,
    }
    this.#put(flow)
    this.#flows += 1
    if (this.#timer === null) {
      this.#doneMs = Math.floor(nowMs())
      this.#timer = setInterval(() => this.#tick(), 1)
    }
    return () => {
      if (this.#slotOf(flow).delete(flow)) this.#ended()
    }
  }

  #slotOf(flow: Flow): Set<Flow> {
    return this.#slots[Math.floor(flow.nextMs) & 1023] ?? new Set()
  }

  #put(flow: Flow): void {
    this.#slotOf(flow).add(flow)
  }

  #ended(): void {
    this.#flows -= 1
    if (this.#flows > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  #tick(): void {
    const toMs = Math.floor(nowMs())
    // What is in a slot for a later round stays there.
    for (let at = Math.max(this.#doneMs, toMs - 1_023); at < toMs; at += 1) {
      const slot = this.#slots[at & 1023]
      if (slot === undefined || slot.size === 0) continue
      for (const flow of slot) if (flow.nextMs < toMs) this.#step(flow, slot)
    }
    this.#doneMs = toMs
  }

  #step(flow: Flow, slot: Set<Flow>): void {
    slot.delete(flow)
    const now = nowMs()
    while (flow.left > 0 && flow.nextMs < now) {
      flow.token(tokenOf(flow.nextMs, this.#epochMs))
      flow.left -= 1
      flow.nextMs += flow.everyMs
    }
    if (flow.left > 0) this.#put(flow)
    else {
      flow.end()
      this.#ended()
    }
  }
}
