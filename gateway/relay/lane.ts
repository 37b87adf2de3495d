import type { Entry } from './outbox.ts'

const firstReadMax = 50

/** One shard on its way through a relay: read in order, handed over in order, taken out once the log has it. */
export class Lane {
  readonly shard: number
  /** The last that was read; null: from the first on. What is acknowledged is gone by then, so the first is the next. */
  after: string | null = null
  /** Entries that are read and not taken out yet. */
  unsettled = 0
  /** Of these, those that the log has not told of. */
  onTheWay = 0
  isReading = false
  /** Nothing is read until all that is on its way has ended; then from the first on. */
  isStopped = false
  isLeaving = false
  /** Another relay has it: only what the log still tells of is taken out. */
  isLost = false
  /** The last look found something. */
  isHot = false
  /** Until something was delivered, one lot at a time: what fails must not be overtaken. */
  isCareful = true
  failures = 0
  notBefore = 0
  /** Bytes of an entry, about. */
  entryBytes = 1
  /** Counts the stops: what was read before one is void. */
  turn = 0
  /** Entries that the log has refused among others, and how often: each has to fail alone. */
  readonly suspects = new Map<string, number>()

  constructor(shard: number) {
    this.shard = shard
  }

  /** How many entries may be read now. */
  room(now: number, unsettledMax: number, bytesMax: number): number {
    const mayRead = !(this.isReading || this.isStopped || this.isLeaving || this.isLost)
    if (!mayRead || now < this.notBefore) return 0
    if (this.isCareful || this.suspects.size > 0) {
      if (this.unsettled > 0) return 0
      if (this.suspects.size > 0) return 1
    }
    const most = this.isCareful ? firstReadMax : unsettledMax - this.unsettled
    return Math.min(most, Math.max(1, Math.floor(bytesMax / this.entryBytes)))
  }

  /** Answers how many bytes they are. */
  read(entries: readonly Entry[]): number {
    this.isHot = entries.length > 0
    const last = entries.at(-1)
    if (last === undefined) return 0
    this.after = last.id
    this.unsettled += entries.length
    this.onTheWay += entries.length
    const bytes = entries.reduce((sum, { record }) => sum + record.value.length, 0)
    this.entryBytes = Math.max(1, bytes / entries.length)
    return bytes
  }

  /** The next read begins with the first that is left. */
  stop(): void {
    this.turn += 1
    this.isStopped = true
    this.settle(0)
  }

  /** So many entries are taken out or given up. Answers whether nothing is left. */
  settle(count: number): boolean {
    this.unsettled -= count
    if (this.unsettled > 0) return false
    this.after = null
    this.isStopped = false
    return true
  }
}
