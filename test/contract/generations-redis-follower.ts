import type { Generations, LogStep, Watch } from '#gateway/generations/generations.ts'

/** A viewer as simple as can be: what it shows of each answer, from a watch and from reads, moving one position. */
export class Follower implements Disposable {
  readonly #generations: Generations
  readonly #sessionId: string
  #watch: Watch | null = null
  #epoch = 0
  #seq = 0
  #isReading = false
  #isBehind = false
  #isClosed = false
  /** By answer: the chunks that it shows. */
  readonly shown = new Map<string, string[]>()
  readonly ended = new Set<string>()
  /** What must not happen: a chunk twice, or one that was left out. */
  readonly faults: string[] = []
  /** How often everything was shown anew, and why. */
  readonly snapshots: string[] = []

  constructor(generations: Generations, sessionId: string) {
    this.#generations = generations
    this.#sessionId = sessionId
  }

  get cursor() {
    return { epoch: this.#epoch, seq: this.#seq }
  }

  async start(): Promise<void> {
    this.#watch = await this.#generations.watch(this.#sessionId, (live) => {
      if (live.type === 'moved') this.#catchUp()
      if (live.type !== 'steps') return
      const isNext = live.epoch === this.#epoch && (live.steps[0]?.seq ?? 0) === this.#seq + 1
      if (isNext && !this.#isReading) this.#apply(live.steps)
      else if (live.epoch > this.#epoch || (live.steps.at(-1)?.seq ?? 0) > this.#seq)
        this.#catchUp()
    })
    this.#catchUp()
  }

  /** The regular look, for what a subscription lost in silence. */
  look(): void {
    this.#catchUp()
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#watch?.close()
  }

  #catchUp(): void {
    this.#isBehind = true
    if (!this.#isReading) void this.#readOn()
  }

  async #readOn(): Promise<void> {
    this.#isReading = true
    while (this.#isBehind && !this.#isClosed) {
      this.#isBehind = false
      try {
        await this.#read()
      } catch {
        // Out of reach: tried again until it is not.
        this.#isBehind = true
        await Bun.sleep(50)
      }
    }
    this.#isReading = false
  }

  async #read(): Promise<void> {
    for (;;) {
      const read = await this.#generations.read(this.#sessionId, this.cursor, 50, 10_000)
      if (read.is === 'absent') return
      if (read.is === 'snapshot') {
        this.snapshots.push(read.reason)
        await this.#show()
        return
      }
      if (read.steps.length === 0) return
      this.#apply(read.steps)
    }
  }

  async #show(): Promise<void> {
    const snapshot = await this.#generations.snapshot(this.#sessionId)
    if (snapshot === null) return
    const chunks: LogStep[] = []
    const { active, epoch, seq } = snapshot
    for (let at = active?.startedSeq ?? seq; at < seq; ) {
      const read = await this.#generations.read(this.#sessionId, { epoch, seq: at }, 50, 10_000)
      if (read.is !== 'steps' || read.steps.length === 0) throw new Error('the log moved on')
      chunks.push(...read.steps.filter((step) => step.seq <= seq))
      at = read.steps.at(-1)?.seq ?? seq
    }
    this.shown.clear()
    this.ended.clear()
    for (const { role, messageId, content } of snapshot.history) {
      if (role !== 'assistant') continue
      this.shown.set(messageId, [content])
      this.ended.add(messageId)
    }
    if (active !== null) this.shown.set(active.messageId, [])
    this.#epoch = epoch
    this.#seq = (active?.startedSeq ?? seq) + chunks.length
    for (const chunk of chunks) this.#step(chunk)
    this.#seq = seq
  }

  #apply(steps: readonly LogStep[]): void {
    for (const step of steps) {
      if (step.seq <= this.#seq) continue
      if (step.seq !== this.#seq + 1) this.faults.push(`${this.#seq} then ${step.seq}`)
      this.#step(step)
      this.#seq = step.seq
    }
  }

  #step(step: LogStep): void {
    if (step.type === 'started') this.shown.set(step.messageId, [])
    if (step.type === 'done') this.ended.add(step.messageId)
    if (step.type !== 'chunk') return
    const shown = this.shown.get(step.messageId) ?? []
    if (shown.length !== step.chunkIndex) {
      this.faults.push(`chunk ${step.chunkIndex} after ${shown.length} of ${step.messageId}`)
    }
    shown.push(step.text)
    this.shown.set(step.messageId, shown)
  }
}
