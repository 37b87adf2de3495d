import type { ReadResult } from '../../generations/generations.ts'
import type { Frame } from './frame.ts'
import { framesOf } from './frame.ts'
import { type Outlet, unsentLowBytes, unsentMaxBytes } from './outlet.ts'
import type { Room } from './room.ts'

export type SnapshotReason = 'epoch' | 'ahead' | 'erased' | 'expired'

export const readStepsMax = 4_096
export const readBytesMax = 64 * 1024
/** Reads in a row that did not meet what was heard. */
const unsettledMax = 5

/**
 * One connection's place in a session's log. Everything that moves the place goes one way: the room hands over live
 * steps while the viewer is not busy; else the one reader loop reads the log until it meets what the room has heard.
 */
export abstract class Viewer {
  readonly room: Room
  readonly outlet: Outlet
  epoch = 0
  seq = 0
  /** The reader loop is at work: no live steps. Set without an `await` in between. */
  isBusy = true
  /** Of a busy one: it waits until its connection has room. */
  isResting = false
  isClosed = false
  /** A question of this connection is on its way: no `started` goes out before its `accepted`. */
  isAsking = false
  /** The status frame that went out last. */
  status: Frame | null = null
  /** Where the room has it. */
  index = -1
  /** What is after the place is not known to be in the room's tail. */
  protected mustRead = true
  #wake: (() => void) | null = null

  constructor(room: Room, outlet: Outlet) {
    this.room = room
    this.outlet = outlet
  }

  /** Whether it counts as somebody who watches the session. */
  abstract readonly isCounted: boolean
  /** Its place is a client's own cursor, of which nothing has been served yet. */
  protected get comesBack(): boolean {
    return false
  }

  /** A read has answered with steps after the place: they are sent next. */
  protected abstract began(result: Extract<ReadResult, { is: 'steps' }>): void
  /** Everything up to the top of a read is sent. `active` as the read saw it, when it could say. */
  protected abstract caughtUp(active: ActiveAnswer | null | undefined): Promise<void> | undefined
  /** The place can't be served from the log. */
  protected abstract refused(reason: SnapshotReason): Promise<void>
  /** A read failed for the n-th time in a row; false: give up. */
  protected abstract failed(failures: number, error: unknown): boolean

  send(frame: Frame): void {
    this.outlet.write(frame)
  }

  /** Starts the loop; `isBusy` must have been set just before. `mustRead`: the room's tail may not be trusted. */
  follow(mustRead: boolean): void {
    if (mustRead) this.mustRead = true
    this.#run().catch((error: unknown) => {
      this.room.hub.log.error('a viewer stopped', { error })
      this.outlet.end(1012)
    })
  }

  /** Something may have been missed: reads again, now or when the loop comes to it. */
  reread(): void {
    this.mustRead = true
    if (this.isBusy || this.isClosed) return
    this.room.setBusy(this)
    this.follow(true)
  }

  /** The connection has room again, is closed, or its question is answered. */
  wake(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  get isFull(): boolean {
    return this.outlet.unsent() > unsentMaxBytes
  }

  /** Resolves once the connection can take more; at once when it can. */
  protected async drained(): Promise<void> {
    if (!this.isFull) return
    this.room.rests(this)
    while (!this.isClosed && this.outlet.unsent() >= unsentLowBytes) await this.#woken()
    this.room.goesOn(this)
  }

  async #run(): Promise<void> {
    let failures = 0
    let unsettled = 0
    while (!this.isClosed) {
      if (this.isAsking) {
        await this.#woken()
        continue
      }
      await this.drained()
      if (this.isClosed || this.isAsking) continue
      if (!this.mustRead) {
        if (this.room.settle(this)) return
        // The log does not have what the room has heard: it may be behind, and must not be asked without end.
        unsettled += 1
        if (unsettled > unsettledMax) await Bun.sleep(Math.min(1_000, 10 * unsettled))
      }
      try {
        await this.room.watched()
        await this.#read()
        failures = 0
      } catch (error) {
        failures += 1
        this.mustRead = true
        if (this.isClosed || !this.failed(failures, error)) return
        await Bun.sleep(Math.min(2_000, 100 * failures) * (0.5 + this.room.hub.random()))
      }
    }
  }

  async #read(): Promise<void> {
    const { hub, sessionId } = this.room
    if (this.epoch === 0) return await this.refused('epoch')
    // Before the read: a `reread` while it is under way sets it again.
    this.mustRead = false
    const place = { epoch: this.epoch, seq: this.seq }
    const result = await hub.generations.read(sessionId, place, readStepsMax, readBytesMax)
    if (this.isClosed || this.isAsking) {
      this.mustRead = true
      return
    }
    if (result.is !== 'steps') {
      await this.refused(result.is === 'absent' ? 'epoch' : result.reason)
      return
    }
    if (result.forgotten === true && this.comesBack) {
      await this.refused('expired')
      return
    }
    let rest: Promise<void> | undefined
    this.outlet.together(() => {
      this.began(result)
      for (const frame of framesOf(this.epoch, result.steps)) this.send(frame)
      this.seq = result.steps.at(-1)?.seq ?? this.seq
      if (this.seq < result.top && result.steps.length > 0) this.mustRead = true
      else rest = this.caughtUp(result.active)
    })
    await rest
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

export type ActiveAnswer = NonNullable<Extract<ReadResult, { is: 'steps' }>['active']>
