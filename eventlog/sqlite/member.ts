import type { Batch, JoinOptions, Membership, Partition, Position } from '../event-log.ts'
import type { Group } from './group.ts'
import type { GroupOffsets } from './group-offsets.ts'
import type { Store } from './store.ts'
import type { Place } from './topic-table.ts'

interface Owned {
  place: Place
  /** Null until it is known where to begin. */
  position: number | null
  isPaused: boolean
}

// One poll of many partitions of long values must not fill the memory.
const pollRecordsBytesMax = 8 << 20
// A read of so much may have been cut short, and one of less was the rest; should it not have been, it is read on after this.
const restBytesMax = 1 << 19
const restMs = 1_000

/** One member of a group. `revoke`, `receive`, `fail` and `end` are the group's, called one at a time. */
export class Member implements Membership {
  readonly topics: readonly string[]
  readonly #options: JoinOptions
  readonly #store: Store
  readonly #group: Group
  readonly #offsets: GroupOffsets
  readonly #owned = new Map<number, Owned>()
  readonly #going = new Set<number>()
  readonly #over = new AbortController()
  #failure: unknown = null
  #turn = 0
  /** What had been told of changes before a read that found the rest of the log; -1: there is more. */
  #readRestAt = -1

  constructor(options: JoinOptions, group: Group, parts: { store: Store; offsets: GroupOffsets }) {
    this.topics = options.topics
    this.#options = options
    this.#store = parts.store
    this.#offsets = parts.offsets
    this.#group = group
  }

  get hasFailed(): boolean {
    return this.#failure !== null
  }

  get isOver(): boolean {
    return this.#over.signal.aborted
  }

  /** Throws what one of its callbacks threw. */
  check(): void {
    if (this.#failure !== null) throw this.#failure
    if (this.isOver) throw new Error(`has left the group ${this.#group.name}`)
  }

  places(): Place[] {
    return [...this.#owned.values()].map(({ place }) => place)
  }

  notIn(share: readonly Place[]): Place[] {
    const kept = new Set(share.map(({ slot }) => slot))
    return this.places().filter(({ slot }) => !kept.has(slot))
  }

  async revoke(places: Place[]): Promise<void> {
    if (places.length === 0) return
    for (const { slot } of places) {
      this.#owned.delete(slot)
      this.#going.add(slot)
    }
    try {
      await this.#options.onRevoked?.(places.map(partitionOf))
    } catch (error) {
      this.fail(error)
    } finally {
      for (const { slot } of places) this.#going.delete(slot)
    }
  }

  async receive(share: readonly Place[]): Promise<void> {
    const coming = share.filter(({ slot }) => !this.#owned.has(slot))
    if (coming.length === 0 || this.hasFailed) return
    for (const place of coming) {
      this.#owned.set(place.slot, { place, position: null, isPaused: false })
    }
    try {
      const told = (await this.#options.onAssigned?.(coming.map(partitionOf))) ?? []
      this.#begin(coming, told)
    } catch (error) {
      this.fail(error)
    }
    this.#store.changes.notify()
  }

  /** The next `poll` throws it; the partitions go to others. */
  fail(error: unknown): void {
    this.#failure ??= error ?? new Error('a callback of the group failed')
    this.#store.changes.notify()
  }

  end(): void {
    this.#over.abort()
  }

  async poll(max: number, signal: AbortSignal): Promise<Batch[]> {
    for (;;) {
      // Reading never waits for anything: whoever reads a long log must leave others their turn.
      await new Promise((resolve) => setImmediate(resolve))
      if (signal.aborted) return []
      this.check()
      const { changes } = this.#store
      if (this.#readRestAt === changes.told) {
        // While others store something all the time a look now would find a few records, at the price of many.
        this.#readRestAt = -1
        await changes.wait([signal, this.#over.signal, AbortSignal.timeout(restMs)])
        continue
      }
      const { told } = changes
      this.#store.refresh()
      this.#group.look()
      const batches = this.#store.glimpse(() => this.#read(max))
      if (batches.length > 0) {
        this.#readRestAt = isRest(batches, max) ? told : -1
        return batches
      }
      await changes.wait([signal, this.#over.signal])
    }
  }

  pause(partition: Partition): void {
    this.#ownedOf(partition).isPaused = true
  }

  resume(partition: Partition): void {
    this.#ownedOf(partition).isPaused = false
    this.#store.changes.notify()
  }

  async seek(position: Position): Promise<void> {
    if (!Number.isInteger(position.offset) || position.offset < 0) {
      throw new RangeError(`no offset ${position.offset}`)
    }
    this.#ownedOf(position).position = position.offset
    this.#store.changes.notify()
  }

  async commit(positions: Position[]): Promise<void> {
    const placed = positions.map((position) => {
      const { slot } = this.#store.topicTable.placeOf(position)
      if (!this.#owned.has(slot) && !this.#going.has(slot)) throw this.#notAssigned(position)
      return { slot, offset: position.offset }
    })
    this.#store.transact(() => {
      for (const { slot, offset } of placed) this.#offsets.set(this.#group.name, slot, offset)
    })
  }

  assigned(): Partition[] {
    return this.places().map(partitionOf)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#group.leave(this)
  }

  #begin(coming: readonly Place[], told: readonly Position[]): void {
    const committed = this.#offsets.of(this.#group.name)
    for (const place of coming) {
      const owned = this.#owned.get(place.slot)
      // A seek while the answer was awaited knows better.
      if (owned === undefined || owned.position !== null) continue
      const own = told.find(
        (position) => position.topic === place.topic && position.partition === place.partition,
      )
      owned.position = own?.offset ?? this.#group.startOf(place, this.#options.from, committed)
    }
  }

  #read(max: number): Batch[] {
    const { records } = this.#store
    const batches: Batch[] = []
    const all = [...this.#owned.values()]
    let bytes = 0
    this.#turn += 1
    for (const [at] of all.entries()) {
      const owned = all[(at + this.#turn) % all.length]
      if (owned === undefined || owned.isPaused || owned.position === null) continue
      const { place, position } = owned
      const page = records.page(place, { from: position, to: Number.POSITIVE_INFINITY }, max)
      const last = page.at(-1)
      if (last === undefined) continue
      owned.position = last.offset + 1
      batches.push({ ...partitionOf(place), records: page })
      for (const { value } of page) bytes += value?.length ?? 0
      if (bytes >= pollRecordsBytesMax) break
    }
    return batches
  }

  #ownedOf(partition: Partition): Owned {
    const owned = this.#owned.get(this.#store.topicTable.placeOf(partition).slot)
    if (owned === undefined) throw this.#notAssigned(partition)
    return owned
  }

  #notAssigned({ topic, partition }: Partition): Error {
    return new Error(`${topic}/${partition} is not this member's of ${this.#group.name}`)
  }
}

function isRest(batches: readonly Batch[], max: number): boolean {
  let bytes = 0
  for (const { records } of batches) {
    if (records.length >= max) return false
    for (const { value } of records) bytes += value?.length ?? 0
  }
  return bytes < restBytesMax
}

function partitionOf({ topic, partition }: Place): Partition {
  return { topic, partition }
}
