import type { Generation } from '../../generations/generations.ts'
import { ContractError } from '../errors.ts'
import { unavailable } from '../reached.ts'
import { answerFrames } from './answer-frames.ts'
import { type Frame, statusFrame } from './frame.ts'
import type { Outlet } from './outlet.ts'
import type { Room } from './room.ts'
import { type ActiveAnswer, Viewer } from './viewer.ts'

const failuresMax = 20

interface Wanted {
  generation: Generation
  /** The step after which it begins; of the answer's own epoch. */
  afterSeq: number
  /** `started` too; else from `status` on. */
  hasStarted: boolean
  /** Whether it counts as somebody who watches: closing the stream of a POST never cancels. */
  isCounted: boolean
}

/** A connection that shows one answer, from some chunk of it to its `done`, and then ends. */
export class AnswerViewer extends Viewer {
  readonly #messageId: string
  readonly #hasStarted: boolean
  readonly #isCounted: boolean
  #hasStatus = false

  constructor(room: Room, outlet: Outlet, wanted: Wanted) {
    super(room, outlet)
    this.#messageId = wanted.generation.messageId
    this.#hasStarted = wanted.hasStarted
    this.#isCounted = wanted.isCounted
    this.epoch = wanted.generation.epoch
    this.seq = wanted.afterSeq
  }

  override get isCounted(): boolean {
    return this.#isCounted
  }

  override send(frame: Frame): void {
    if (this.isClosed || frame.messageId !== this.#messageId) return
    if (frame.type === 'started' && !this.#hasStarted) return
    super.send(frame)
    if (frame.type === 'done') this.outlet.end(1000)
  }

  protected override began(): void {
    // There is no welcome: the frames of the answer are all that is shown.
  }

  protected override caughtUp(active: ActiveAnswer | null | undefined): Promise<void> | undefined {
    if (this.#hasStatus || this.isClosed) return undefined
    this.#hasStatus = true
    if (active === undefined) return this.#lookForStatus()
    if (active?.messageId === this.#messageId) this.#sendStatus(active.status)
    return undefined
  }

  async #lookForStatus(): Promise<void> {
    const status = (await this.room.hub.generations.find(this.#messageId))?.status
    if (status !== undefined && status !== 'finished') this.#sendStatus(status)
  }

  #sendStatus(status: ActiveAnswer['status']): void {
    this.send(statusFrame(this.#messageId, status))
  }

  /** The log no longer has it: whole from what is kept of it, or anew where it went on. */
  protected override async refused(): Promise<void> {
    this.mustRead = false
    const generation = await this.room.hub.generations.find(this.#messageId)
    if (this.isClosed) return
    if (generation === null || generation.erased) {
      this.outlet.refuse(new ContractError('gone', 'The message is no longer there.'))
      return
    }
    if (generation.message !== undefined) {
      for (const frame of answerFrames(generation.message, generation)) this.send(frame)
      return
    }
    this.mustRead = true
    const hasMoved = generation.epoch !== this.epoch || generation.startedSeq > this.seq
    if (!hasMoved) throw new Error('an answer is neither in the log nor finished')
    this.epoch = generation.epoch
    this.seq = generation.startedSeq
  }

  protected override failed(failures: number, error: unknown): boolean {
    if (failures === 1) this.room.hub.log.warn('an answer could not be read', { error })
    if (failures < failuresMax) return true
    this.outlet.refuse(unavailable('The answer is out of reach.'))
    return false
  }
}
