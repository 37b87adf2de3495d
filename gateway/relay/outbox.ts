import type { EventRecord } from '#events/codec.ts'
import type { DependencyHealth } from '#runtime/health.ts'

/** An event that waits in the outbox. */
export interface Entry {
  id: string
  record: EventRecord
}

/** Where a relay goes on in a shard: behind this entry; null: with the first. */
export interface Place {
  shard: number
  after: string | null
}

/** A relay, as the others know it. */
export interface Holder {
  /** Nobody else has it. */
  token: string
  leaseMs: number
}

export interface ShardBacklog {
  events: number
  ageMs: number
  refused: number
}

/** The outbox as a relay sees it. All but `health` reject when it is out of reach; what was asked may still happen. */
export interface Outbox extends Disposable {
  /** Number of shards. */
  readonly shards: number
  /** That the outbox was away and is back, and may remember things that are over. */
  onBack: () => void
  health(): DependencyHealth
  /** Entries in order, at most `max`. */
  read(place: Place, max: number): Promise<Entry[]>
  /** Of each place how many bytes an entry behind it has about; 0: there is none. */
  waiting(places: readonly Place[]): Promise<number[]>
  /** Takes out what the log has. Another relay may have done so before. */
  remove(taken: ReadonlyMap<number, readonly Entry[]>): Promise<void>
  /** Puts an entry aside that the log will never take; false: somebody has taken it out. */
  refuse(shard: number, id: string, reason: string): Promise<boolean>
  /** Says that this relay lives, and answers how many do. */
  announce(holder: Holder): Promise<number>
  /** Prolongs what is held (`kept`: still, `anew`: after nobody had it, `lost`: another has it). */
  renew(shards: readonly number[], holder: Holder): Promise<Map<number, 'kept' | 'anew' | 'lost'>>
  /** Takes at most `max` of these shards; answers those that it got. */
  take(shards: readonly number[], holder: Holder, max: number): Promise<number[]>
  release(shards: readonly number[], holder: Holder): Promise<void>
  /** This relay goes. */
  leave(holder: Holder): Promise<void>
  backlog(shards: readonly number[]): Promise<ShardBacklog[]>
}
