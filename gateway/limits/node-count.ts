import type { Slot } from './limits.ts'

/** `MAX_CONNECTIONS`; 0: no limit. */
export class NodeCount {
  readonly #limit: number
  #taken = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  take(): boolean {
    if (this.#limit > 0 && this.#taken >= this.#limit) return false
    this.#taken += 1
    return true
  }

  release(): void {
    this.#taken -= 1
  }

  /** A connection that was taken, and the slot of its user. */
  with(slot: Slot): Slot {
    return new ConnectionSlot(this, slot)
  }
}

/** One object a connection, for there are many. */
class ConnectionSlot implements Slot {
  readonly #node: NodeCount
  #slot: Slot | null

  constructor(node: NodeCount, slot: Slot) {
    this.#node = node
    this.#slot = slot
  }

  release(): void {
    if (this.#slot === null) return
    this.#node.release()
    this.#slot.release()
    this.#slot = null
  }
}
