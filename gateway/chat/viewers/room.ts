import type { Live, LogStep, SessionRef, Watch } from '../../generations/generations.ts'
import { type Frame, framesOf, statusFrame } from './frame.ts'
import type { Viewer } from './viewer.ts'
import type { Viewers } from './viewers.ts'

/** Viewers served in one go, about 2 ms of sends; what comes in between is merged for those who wait. */
const sliceViewers = 256
/** Of the steps that are kept while somebody reads. */
const tailStepsMax = 2_048

const noSteps: readonly LogStep[] = []
/** One for all rooms: an idle one holds no promise. */
const subscribed = Promise.resolve()

/** One session that is watched here: one subscription, however many connections look at it. */
export class Room {
  readonly hub: Viewers
  readonly sessionId: string
  session: SessionRef | null = null
  readonly viewers: Viewer[] = []
  /** Of the newest step that was heard; 0: none yet. */
  epoch = 0
  top = 0
  /** The newest status of the active answer, when one was heard. */
  status: Frame | null = null
  /** When something was heard last, and what the last look found: for the reconciliation. */
  heardAtMs = 0
  lookedAtMs = 0
  seenEpoch = 0
  seenTop = 0
  /** Those that count as watching. */
  counted = 0
  #busy = 0
  /** The newest steps, without gaps up to `top`: for those that have not had them. */
  #tail = noSteps
  /** Frames of the tail, as those have them that stand at `from` while the top is `to`. */
  #built: { from: number; to: number; frames: readonly Frame[] } | null = null
  /** A round of live steps is on its way through the viewers; `again`: and another has to follow. */
  #serving: 'no' | 'yes' | 'again' = 'no'
  #watch: Watch | 'closed' | null = null
  #watching: Promise<void> | null = null

  constructor(hub: Viewers, sessionId: string) {
    this.hub = hub
    this.sessionId = sessionId
  }

  add(viewer: Viewer): void {
    viewer.index = this.viewers.length
    this.viewers.push(viewer)
    if (viewer.isBusy) this.#busy += 1
    if (viewer.isCounted) this.counted += 1
  }

  remove(viewer: Viewer): void {
    const last = this.viewers.pop()
    if (last !== undefined && last !== viewer) {
      this.viewers[viewer.index] = last
      last.index = viewer.index
      // The one that moved may have been passed over.
      if (this.#serving === 'yes') this.#serving = 'again'
    }
    if (viewer.isBusy && !viewer.isResting) this.#busy -= 1
    if (viewer.isCounted) this.counted -= 1
    if (this.#serving === 'no') this.#trim()
  }

  /** Resolves once every step stored from then on is heard. */
  watched(): Promise<void> {
    this.#watching ??= this.hub.generations
      .watch(this.sessionId, (live) => this.#hear(live))
      .then(
        (watch) => {
          this.#watching = subscribed
          if (this.#watch === 'closed') watch.close()
          else this.#watch = watch
        },
        (error: unknown) => {
          this.#watching = null
          throw error
        },
      )
    return this.#watching
  }

  close(): void {
    if (this.#watch !== null && this.#watch !== 'closed') this.#watch.close()
    this.#watch = 'closed'
  }

  setBusy(viewer: Viewer): void {
    if (viewer.isBusy) return
    viewer.isBusy = true
    this.#busy += 1
  }

  /** It waits for its connection, which may take long: no steps are kept for it. */
  rests(viewer: Viewer): void {
    viewer.isResting = true
    this.#busy -= 1
  }

  goesOn(viewer: Viewer): void {
    viewer.isResting = false
    if (!viewer.isClosed) this.#busy += 1
  }

  /** The viewer has read up to its place: hands it what was heard since, or says that it must read on. */
  settle(viewer: Viewer): boolean {
    if (viewer.epoch < this.epoch) return false
    if (viewer.epoch === this.epoch && viewer.seq < this.top && !this.#covers(viewer.seq)) {
      return false
    }
    viewer.isBusy = false
    this.#busy -= 1
    this.#serve(viewer)
    if (this.#serving === 'no') this.#trim()
    return true
  }

  #hear(live: Live): void {
    switch (live.type) {
      case 'steps':
        this.#extend(live.epoch, live.steps)
        this.#serveAll()
        if (live.at !== undefined) this.hub.metrics.chunk(this.hub.now() - live.at)
        return
      case 'status':
        this.status = statusFrame(live.messageId, live.status)
        this.#serveAll()
        return
      case 'claimed':
        return
      case 'moved':
        this.#lookAgain().catch(() => this.rereadAll())
    }
  }

  rereadAll(): void {
    for (const viewer of this.viewers.slice()) viewer.reread()
  }

  /** Steps may have gone by unheard: one look at the top tells who has not had them. */
  async #lookAgain(): Promise<void> {
    let { epoch, seq } = { epoch: 0, seq: 0 }
    for (const viewer of this.viewers.slice()) {
      // What it reads just now may be from before.
      if (viewer.isBusy) viewer.reread()
      else if (viewer.epoch > epoch || (viewer.epoch === epoch && viewer.seq > seq)) {
        epoch = viewer.epoch
        seq = viewer.seq
      }
    }
    if (epoch === 0) return
    const read = await this.hub.generations.read(this.sessionId, { epoch, seq }, 1, 1)
    const isAtTop = read.is === 'steps' && read.top === seq
    for (const viewer of this.viewers.slice()) {
      const isThere = viewer.epoch === epoch && viewer.seq >= seq
      if (!isAtTop || !isThere) viewer.reread()
    }
  }

  #extend(epoch: number, steps: readonly LogStep[]): void {
    const first = steps[0]
    const last = steps.at(-1)
    if (first === undefined || last === undefined || epoch < this.epoch) return
    if (epoch > this.epoch) {
      this.epoch = epoch
      this.top = 0
      this.#tail = noSteps
      this.status = null
    }
    if (last.seq <= this.top) return
    if (first.seq > this.top + 1) this.#tail = noSteps
    const fresh = first.seq > this.top ? steps : steps.filter((step) => step.seq > this.top)
    this.#tail = this.#tail.length === 0 ? fresh : this.#tail.concat(fresh)
    this.top = last.seq
    this.heardAtMs = this.hub.now()
    if (this.status !== null && fresh.some((step) => step.type === 'done')) this.status = null
  }

  #covers(seq: number): boolean {
    const first = this.#tail[0]
    return first !== undefined && first.seq <= seq + 1
  }

  #serveAll(): void {
    if (this.#serving === 'no') this.#slice(0)
    else this.#serving = 'again'
  }

  #slice(from: number): void {
    // Also while it is one go: a viewer that ends as it is served must not move the others, or the tail, unseen.
    if (this.#serving === 'no') this.#serving = 'yes'
    const to = from + sliceViewers
    for (let at = from; at < to; at += 1) {
      const viewer = this.viewers[at]
      if (viewer === undefined) break
      try {
        this.#serve(viewer)
      } catch (error) {
        // One connection's fault must not keep the steps from the others.
        this.hub.log.error('a connection could not be written to', { error })
        viewer.outlet.end(1012)
      }
    }
    if (to < this.viewers.length) {
      setImmediate(() => this.#slice(to))
    } else if (this.#isAgain) {
      this.#serving = 'yes'
      setImmediate(() => this.#slice(0))
    } else {
      this.#serving = 'no'
      this.#trim()
    }
  }

  /** Asked anew: serving a viewer may change it. */
  get #isAgain(): boolean {
    return this.#serving === 'again'
  }

  #serve(viewer: Viewer): void {
    if (viewer.isBusy) return
    if (viewer.epoch !== this.epoch) {
      if (viewer.epoch < this.epoch) viewer.reread()
      // Else the viewer has read what is not heard yet.
      if (this.epoch !== 0) return
    } else if (viewer.seq < this.top) {
      if (!this.#covers(viewer.seq)) {
        viewer.reread()
        return
      }
      const frames = this.#framesAfter(viewer.seq)
      if (viewer.isFull || (viewer.isAsking && frames.some((frame) => frame.type === 'started'))) {
        this.setBusy(viewer)
        viewer.follow(false)
        return
      }
      const only = frames.length === 1 ? frames[0] : undefined
      if (only !== undefined) viewer.send(only)
      else viewer.outlet.together(() => frames.forEach((frame) => void viewer.send(frame)))
      viewer.seq = this.top
    }
    if (viewer.status === this.status) return
    viewer.status = this.status
    if (this.status !== null) viewer.send(this.status)
  }

  /** Built once for all viewers of one place. */
  #framesAfter(seq: number): readonly Frame[] {
    if (this.#built?.from === seq && this.#built.to === this.top) return this.#built.frames
    const from = seq + 1 - (this.#tail[0]?.seq ?? 0)
    const frames = framesOf(this.epoch, this.#tail, { from })
    if (this.viewers.length > 1) this.#built = { from: seq, to: this.top, frames }
    return frames
  }

  /** Steps are kept only for those that read. */
  #trim(): void {
    this.#built = null
    if (this.#busy === 0) this.#tail = noSteps
    else if (this.#tail.length > tailStepsMax) this.#tail = this.#tail.slice(-tailStepsMax / 2)
  }
}
