import type { From } from '../event-log.ts'
import { assign } from './assignment.ts'
import type { Member } from './member.ts'
import type { Store } from './store.ts'
import type { Place } from './topic-table.ts'

/** The members of a group in this thread, and which of them has which partition. */
export class Group {
  readonly name: string
  readonly #store: Store
  readonly #members: Member[] = []
  // Where partitions without a committed offset began, so that who takes one over doesn't begin at another end.
  readonly #starts = new Map<number, number>()
  #topics = 0
  #turn: Promise<void> = Promise.resolve()

  constructor(name: string, store: Store) {
    this.name = name
    this.#store = store
  }

  /** Resolves once the member has its partitions. */
  join(member: Member): Promise<void> {
    return this.#inTurn(async () => {
      this.#members.push(member)
      try {
        await this.#rebalance()
      } catch (error) {
        this.#members.splice(this.#members.indexOf(member), 1)
        throw error
      }
    })
  }

  /** Resolves once its partitions are with others. */
  leave(member: Member): Promise<void> {
    return this.#inTurn(async () => {
      const at = this.#members.indexOf(member)
      if (at === -1) return
      this.#members.splice(at, 1)
      await member.revoke(member.places())
      await this.#rebalance()
    })
  }

  /** Topics may have been made since the last look. */
  look(): void {
    if (this.#topics === this.#store.topics.size) return
    this.#topics = this.#store.topics.size
    this.#inTurn(() => this.#rebalance()).catch((error: unknown) => {
      for (const member of this.#members) member.fail(error)
    })
  }

  /** The offset at which a partition begins that its member has no place of its own for. */
  startOf(place: Place, from: From, committed: ReadonlyMap<number, number>): number {
    const known = committed.get(place.slot) ?? this.#starts.get(place.slot)
    if (known !== undefined) return known
    const start = this.#resolve(place, from)
    this.#starts.set(place.slot, start)
    return start
  }

  #resolve({ slot }: Place, from: From): number {
    const { records } = this.#store
    if (from === 'beginning') return records.kept(slot).from
    return from === 'end' ? records.end(slot) : records.offsetAt(slot, from.atMs)
  }

  /** One after the other, whether the one before failed or not: that is told to whoever asked for it. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work, work)
    this.#turn = done
    return done
  }

  async #rebalance(): Promise<void> {
    this.#store.refresh()
    this.#topics = this.#store.topics.size
    const members = this.#members.filter((member) => !member.hasFailed)
    const names = new Set(members.flatMap((member) => member.topics))
    const places = [...names].flatMap((name) => this.#store.topicTable.placesOf(name))
    const target = assign(
      members.map((member) => ({
        topics: member.topics,
        slots: new Set(member.places().map(({ slot }) => slot)),
      })),
      places,
    )
    const shares = members.map((member, at) => ({ member, share: target[at] ?? [] }))
    await Promise.all(shares.map(({ member, share }) => member.revoke(member.notIn(share))))
    await Promise.all(shares.map(({ member, share }) => member.receive(share)))
    if (members.some((member) => member.hasFailed)) await this.#dropFailed()
  }

  async #dropFailed(): Promise<void> {
    for (const member of this.#members.filter(({ hasFailed }) => hasFailed)) {
      this.#members.splice(this.#members.indexOf(member), 1)
      await member.revoke(member.places())
      member.end()
    }
    await this.#rebalance()
  }
}
