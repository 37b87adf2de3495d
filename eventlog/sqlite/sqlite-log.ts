import type {
  EventLog,
  JoinOptions,
  Kept,
  LogRecord,
  Membership,
  NewRecord,
  Partition,
  Position,
  TopicInfo,
} from '../event-log.ts'
import { Group } from './group.ts'
import { GroupOffsets } from './group-offsets.ts'
import { Member } from './member.ts'
import type { Store } from './store.ts'

const pageMax = 500

/**
 * The event log in the store's file. All members of a group must be in one thread; other threads may write, and read
 * as another group. Disposing ends its memberships and leaves the store open.
 */
export function sqliteLog(store: Store): EventLog {
  return new SqliteLog(store)
}

class SqliteLog implements EventLog {
  readonly #store: Store
  readonly #offsets: GroupOffsets
  readonly #members = new Set<Member>()

  constructor(store: Store) {
    this.#store = store
    this.#offsets = new GroupOffsets(store.db)
  }

  async produce(records: NewRecord[]): Promise<void> {
    this.#store.transact(() => this.#store.append(records))
  }

  async join(options: JoinOptions): Promise<Membership> {
    const group = this.#groupOf(options.group)
    const member = new Member(options, group, { store: this.#store, offsets: this.#offsets })
    for (const earlier of this.#members) if (earlier.isOver) this.#members.delete(earlier)
    this.#members.add(member)
    await group.join(member)
    member.check()
    return member
  }

  async *read(
    range: Partition & { from: number; to: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogRecord[]> {
    this.#store.refresh()
    const { records } = this.#store
    const place = this.#store.topicTable.placeOf(range)
    const kept = records.kept(place.slot)
    const to = Math.min(range.to, kept.to)
    for (let from = Math.max(range.from, kept.from); from < to; ) {
      signal.throwIfAborted()
      const page = records.page(place, { from, to }, pageMax)
      const last = page.at(-1)
      // Retention may have been here since.
      if (last === undefined) return
      yield page
      from = last.offset + 1
      // Reading never waits for anything: whoever reads a long log must leave others their turn.
      await new Promise((resolve) => setImmediate(resolve))
    }
    signal.throwIfAborted()
  }

  async kept(topic: string): Promise<Kept[] | null> {
    this.#store.refresh()
    if (!this.#store.topics.has(topic)) return null
    return this.#store.topicTable
      .placesOf(topic)
      .map(({ partition, slot }) => ({ topic, partition, ...this.#store.records.kept(slot) }))
  }

  async offsetsAt(topic: string, atMs: number): Promise<Position[]> {
    this.#store.refresh()
    return this.#store.topicTable.placesOf(topic).map(({ partition, slot }) => ({
      topic,
      partition,
      offset: this.#store.records.offsetAt(slot, atMs),
    }))
  }

  async topics(): Promise<TopicInfo[]> {
    this.#store.refresh()
    return [...this.#store.topics].map(([topic, partitions]) => ({ topic, partitions }))
  }

  async committed(group: string): Promise<Position[]> {
    this.#store.refresh()
    const offsets = this.#offsets.of(group)
    return [...this.#store.topics.keys()]
      .flatMap((topic) => this.#store.topicTable.placesOf(topic))
      .flatMap(({ topic, partition, slot }) => {
        const offset = offsets.get(slot)
        return offset === undefined ? [] : [{ topic, partition, offset }]
      })
  }

  async groups(): Promise<string[]> {
    return this.#offsets.groups()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#members) await member[Symbol.asyncDispose]()
    this.#members.clear()
  }

  #groupOf(name: string): Group {
    const known = this.#store.groups.get(name)
    if (known !== undefined) return known
    const group = new Group(name, this.#store)
    this.#store.groups.set(name, group)
    return group
  }
}
