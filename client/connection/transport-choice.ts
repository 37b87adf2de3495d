import type { TransportName } from './link.ts'
import type { Timing } from './timing.ts'

/** Which transport to try next: a WebSocket, unless something on the way blocks it. */
export class TransportChoice {
  readonly #timing: Timing
  readonly #isFixed: boolean
  #current: TransportName
  #hasWebSocketWorked = false
  /** Tries of the WebSocket that ended before any frame, in a row. */
  #blocked = 0
  #hasTurned = false
  #probeMs: number

  /** `fixed`: the only one there is, or that is wanted. */
  constructor(timing: Timing, fixed: TransportName | null) {
    this.#timing = timing
    this.#isFixed = fixed !== null
    this.#current = fixed ?? 'websocket'
    this.#probeMs = timing.probeMs
  }

  next(): TransportName {
    this.#hasTurned = false
    return this.#current
  }

  /** How long a try may stay without a frame. */
  patienceMs(transport: TransportName): number {
    const mayBeBlocked = transport === 'websocket' && !this.#isFixed && !this.#hasWebSocketWorked
    return mayBeBlocked ? this.#timing.blockedMs : this.#timing.openMs
  }

  worked(transport: TransportName): void {
    if (transport !== 'websocket') return
    this.#hasWebSocketWorked = true
    this.#blocked = 0
    this.#probeMs = this.#timing.probeMs
  }

  /** A try ended: `answered` when anything of the server's came. */
  ended(transport: TransportName, end: { answered: boolean; timedOut: boolean }): void {
    if (this.#isFixed || end.answered) return
    if (transport === 'sse') {
      // Nothing passes: that says nothing against the WebSocket.
      this.#current = 'websocket'
      this.#blocked = 0
      return
    }
    this.#blocked += end.timedOut && !this.#hasWebSocketWorked ? 2 : 1
    // One that has worked is more likely to have lost its network than to be blocked.
    if (this.#blocked < (this.#hasWebSocketWorked ? 3 : 2)) return
    this.#current = 'sse'
    this.#hasTurned = true
  }

  /** From a blocked WebSocket to SSE there is nothing to wait for. */
  get hasTurned(): boolean {
    return this.#hasTurned
  }

  /** When to look at the WebSocket again; null: not on a way round it. */
  get probeAfterMs(): number | null {
    return this.#current === 'sse' && !this.#isFixed ? this.#probeMs : null
  }

  probed(works: boolean): void {
    if (works) {
      this.#current = 'websocket'
      this.#blocked = 0
    } else this.#probeMs = Math.min(this.#probeMs * 2, this.#timing.probeMaxMs)
  }
}
