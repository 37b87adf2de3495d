import type { Room } from './room.ts'
import type { Viewers } from './viewers.ts'

/** A session of which nothing was heard for so long is looked at more seldom. */
const quietMs = 60_000
const quietFactor = 6

/**
 * Catches what a subscription lost in silence: looks at the top of each watched session now and then, with one small
 * read per session, and only who is behind what was the top a whole period ago reads again. A look per socket, or one
 * at what is on its way just now, collapses under load.
 */
export class Reconciliation {
  readonly #hub: Viewers
  readonly #rooms: ReadonlyMap<string, Room>
  #timer: ReturnType<typeof setTimeout> | null = null
  #isStopped = true

  constructor(hub: Viewers, rooms: ReadonlyMap<string, Room>) {
    this.#hub = hub
    this.#rooms = rooms
  }

  start(): void {
    if (!this.#isStopped) return
    this.#isStopped = false
    this.#next()
  }

  stop(): void {
    this.#isStopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #next(): void {
    if (this.#isStopped) return
    const delayMs = this.#hub.timing.reconcileMs * (0.8 + 0.4 * this.#hub.random())
    this.#timer = setTimeout(() => {
      this.#lookAtAll()
        .catch((error: unknown) => this.#hub.log.warn('sessions could not be looked at', { error }))
        .finally(() => this.#next())
    }, delayMs)
  }

  async #lookAtAll(): Promise<void> {
    const { reconcileMs } = this.#hub.timing
    let failure: { error: unknown } | null = null
    for (const room of [...this.#rooms.values()]) {
      if (this.#isStopped) return
      const nowMs = this.#hub.now()
      const isQuiet = nowMs - room.heardAtMs > quietMs
      const isDue = nowMs - room.lookedAtMs >= reconcileMs * (isQuiet ? quietFactor : 0.5)
      if (room.viewers.length === 0 || !isDue) continue
      try {
        await this.#look(room, nowMs)
      } catch (error) {
        // Others may be where hot state is not away.
        failure ??= { error }
      }
    }
    if (failure !== null) throw failure.error
  }

  async #look(room: Room, nowMs: number): Promise<void> {
    const { seenEpoch, seenTop } = room
    room.lookedAtMs = nowMs
    const place = room.viewers.find((viewer) => viewer.epoch > 0)
    if (place === undefined) return
    for (const viewer of room.viewers.slice()) {
      if (viewer.isBusy) continue
      const isBehind = viewer.epoch === seenEpoch ? viewer.seq < seenTop : viewer.epoch < seenEpoch
      if (isBehind) viewer.reread()
    }
    const { epoch, seq } = place
    const read = await this.#hub.generations.read(room.sessionId, { epoch, seq }, 1, 1)
    if (read.is === 'steps') {
      room.seenEpoch = read.epoch
      room.seenTop = read.top
    } else if (read.is === 'snapshot') {
      // Of another epoch, or above the top: only a new look tells which.
      room.rereadAll()
    }
  }
}
