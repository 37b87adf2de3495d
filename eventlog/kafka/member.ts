import type { Log } from '#runtime/log.ts'
import type { Batch, JoinOptions, Membership, Partition, Position } from '../event-log.ts'
import { KafkaAway } from './errors.ts'
import { creditFrame, type Frame } from './frames.ts'
import type { Link } from './link.ts'
import { nameOf, type Owned, OwnedPartitions } from './owned.ts'

/** Where the group goes on. */
export interface Start extends Position {
  /** It has committed nothing. */
  isNew: boolean
}

/** What a member needs of its log. */
export interface MemberHost {
  link: Link
  /** Of `partitions`, where the group goes on when its member doesn't know better. */
  startsOf(options: JoinOptions, partitions: Partition[]): Promise<Start[]>
  log: Log
  settings: Record<string, unknown>
  gone(member: Member): void
}

const endMs = 40_000
const againMs = 200

/** One member of a group. Rebalances run one after the other, whatever comes meanwhile. */
export class Member implements Membership {
  readonly id: number
  readonly #options: JoinOptions
  readonly #host: MemberHost
  readonly #owned: OwnedPartitions
  readonly #going = new Set<string>()
  #rebalances: Promise<void> = Promise.resolve()
  #wakers: (() => void)[] = []
  #failure: unknown = null
  #end: Promise<void> | null = null
  // Counts the processes: what was said by one before must not be told to the next.
  #life = 0

  constructor(id: number, options: JoinOptions, host: MemberHost) {
    this.id = id
    this.#options = options
    this.#host = host
    this.#owned = new OwnedPartitions((stream, bytes) =>
      host.link.send(creditFrame(id, stream, bytes)),
    )
  }

  /** To each process of the client anew. */
  async join(): Promise<void> {
    if (this.#end !== null) return
    const { group, topics } = this.#options
    const settings = { ...this.#host.settings, 'group.id': group }
    await this.#call('join', { topics, settings })
  }

  /** The process is gone, and with it the place in the group. */
  lose(): void {
    this.#life += 1
    const lost = this.#owned.all()
    this.#owned.forget(lost)
    this.#inTurn(() => this.#tellRevoked(lost))
  }

  receive(stream: number, frame: Frame): void {
    if (this.#owned.receive(stream, frame)) this.#wake()
  }

  assign(partitions: Partition[]): void {
    const life = this.#life
    this.#inTurn(async () => {
      if (life !== this.#life) return
      const coming = partitions.map((place) => this.#owned.add(place))
      const positions = await this.#positionsOf(coming).catch(async (error: unknown) => {
        // The group waits for an answer, also that of a member which is about to leave.
        const anywhere = coming.map(({ topic, partition, stream }) => ({
          topic,
          partition,
          stream,
        }))
        if (life === this.#life) await this.#call('assign', { positions: anywhere })
        throw error
      })
      if (life !== this.#life) return
      await this.#call('assign', { positions })
      if (this.#options.from === 'end') await this.#keepStart(positions)
      for (const owned of coming) owned.isReady = true
      this.#wake()
    })
  }

  revoke(partitions: Partition[]): void {
    const life = this.#life
    this.#inTurn(async () => {
      if (life !== this.#life) return
      const going = partitions.flatMap((place) => this.#owned.of(place) ?? [])
      for (const place of going) this.#going.add(nameOf(place))
      this.#owned.forget(going)
      await this.#tellRevoked(going)
      if (life === this.#life) await this.#call('unassign', { partitions })
    })
  }

  async poll(max: number, signal: AbortSignal): Promise<Batch[]> {
    for (;;) {
      // What lies here is answered without waiting: whoever reads a long log must leave others their turn.
      await new Promise((resolve) => setImmediate(resolve))
      if (signal.aborted) return []
      this.#check()
      const batches = this.#owned.take(max)
      if (batches.length > 0) return batches
      await this.#change(signal)
    }
  }

  pause(partition: Partition): void {
    this.#leave(partition, true)
  }

  resume(partition: Partition): void {
    this.#leave(partition, false)
    this.#wake()
  }

  async seek(position: Position): Promise<void> {
    const { topic, partition, offset } = position
    if (!Number.isInteger(offset) || offset < 0) throw new RangeError(`no offset ${offset}`)
    const owned = this.#ownedOf(position)
    this.#owned.begin(owned)
    if (owned.isReady) {
      await this.#call('seek', { topic, partition, offset, stream: owned.stream })
    } else {
      owned.sought = offset
    }
  }

  async commit(positions: Position[]): Promise<void> {
    for (const position of positions) {
      const isOurs = this.#owned.of(position) !== undefined || this.#going.has(nameOf(position))
      if (!isOurs) throw this.#notAssigned(position)
    }
    if (positions.length > 0) await this.#call('commit', { positions })
  }

  assigned(): Partition[] {
    return this.#owned
      .all()
      .filter(({ isReady }) => isReady)
      .map(({ topic, partition }) => ({ topic, partition }))
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#end ??= this.#leaveGroup()
    return this.#end
  }

  async #leaveGroup(): Promise<void> {
    this.#wake()
    try {
      if (this.#host.link.trouble === null) await this.#call('end', {}, endMs)
    } catch (error) {
      if (!(error instanceof KafkaAway)) throw error
      // Without its process the group will miss it soon enough.
    } finally {
      this.lose()
      await this.#rebalances
      this.#host.gone(this)
    }
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#end !== null) throw new Error(`has left the group ${this.#options.group}`)
  }

  #call(method: string, ask: Record<string, unknown>, withinMs?: number): Promise<unknown> {
    return this.#host.link.call(method, { member: this.id, ...ask }, withinMs)
  }

  /** One after the other; what a callback throws is thrown by the next poll, and the member leaves. */
  #inTurn(work: () => Promise<void>): void {
    this.#rebalances = this.#rebalances.then(work).catch((error: unknown) => {
      // The process that asked is gone, and `lose` with it.
      if (error instanceof KafkaAway && this.#host.link.trouble !== null) return
      this.#host.log.warn('a member of the group fails', { group: this.#options.group, error })
      this.#failure ??= error ?? new Error('a callback of the group failed')
      this.#wake()
      this.#end ??= this.#leaveGroup()
    })
  }

  async #tellRevoked(going: readonly Owned[]): Promise<void> {
    if (going.length === 0) return
    try {
      await this.#options.onRevoked?.(going.map(({ topic, partition }) => ({ topic, partition })))
    } finally {
      for (const owned of going) this.#going.delete(nameOf(owned))
    }
  }

  /** "The end" is another one for whoever takes over: where a new group began is told at once. */
  async #keepStart(positions: readonly Start[]): Promise<void> {
    const begun = positions.filter(({ isNew }) => isNew)
    if (begun.length === 0) return
    try {
      await this.#call('commit', { positions: begun })
    } catch (error) {
      this.#host.log.warn('where the group begins is not kept', { error })
    }
  }

  async #positionsOf(coming: Owned[]): Promise<(Start & { stream: number })[]> {
    const places = coming.map(({ topic, partition }) => ({ topic, partition }))
    const told = coming.length === 0 ? [] : ((await this.#options.onAssigned?.(places)) ?? [])
    const known = new Map<string, Omit<Start, 'topic' | 'partition'>>()
    for (const position of told) {
      known.set(nameOf(position), { offset: position.offset, isNew: false })
    }
    const rest = places.filter((place) => !known.has(nameOf(place)))
    const starts = rest.length === 0 ? [] : await this.#startsOf(rest)
    for (const { offset, isNew, ...place } of starts) known.set(nameOf(place), { offset, isNew })
    return coming.map(({ topic, partition, stream, sought }) => {
      const { offset, isNew } = known.get(`${topic}/${partition}`) ?? { offset: 0, isNew: false }
      if (sought === null) return { topic, partition, stream, offset, isNew }
      return { topic, partition, stream, offset: sought, isNew: false }
    })
  }

  /** As long as it takes: the group waits, and another member would fare no better. */
  async #startsOf(places: Partition[]): Promise<Start[]> {
    for (const life = this.#life; ; ) {
      try {
        return await this.#host.startsOf(this.#options, places)
      } catch (error) {
        if (!(error instanceof KafkaAway) || life !== this.#life || this.#end !== null) throw error
        this.#host.log.warn('where the group goes on cannot be read, trying again', { error })
        await new Promise((resolve) => setTimeout(resolve, againMs))
      }
    }
  }

  #leave(partition: Partition, isLeft: boolean): void {
    const owned = this.#ownedOf(partition)
    if (owned.isPaused === isLeft) return
    owned.isPaused = isLeft
    this.#call('leave', { stream: owned.stream, isLeft }).catch((error: unknown) => {
      // A process that is gone reads nothing ahead.
      if (!(error instanceof KafkaAway)) throw error
    })
  }

  #ownedOf(partition: Partition): Owned {
    const owned = this.#owned.of(partition)
    if (owned === undefined) throw this.#notAssigned(partition)
    return owned
  }

  #notAssigned({ topic, partition }: Partition): Error {
    return new Error(`${topic}/${partition} is not this member's of ${this.#options.group}`)
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake()
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakers.push(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
