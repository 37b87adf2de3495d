import type { Database } from '#db/client.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import type { Log } from '#runtime/log.ts'
import type { Clock } from './clock.ts'
import type { PartitionLag } from './metrics.ts'
import type { Transactions } from './transactions.ts'

export interface RunOptions {
  eventLog: EventLog
  /** Needed by a definition with `once` or `transactional`. */
  database?: Database
  /** Shared by consumers of one database; by default one of its own. */
  transactions?: Transactions
  logger: Log
  /** Abort it to leave: what is in hand is finished, offsets are written, `finished` resolves. */
  signal: AbortSignal
  clock?: Clock
  /** How often offsets are moved over records that nobody wants, and told to the log. */
  tellEveryMs?: number
  /** How long what is in hand may take once `signal` has aborted. */
  graceMs?: number
}

export interface ConsumerHealth {
  state: 'up' | 'down'
  reason?: string
}

export interface RunningConsumer {
  group: string
  finished: Promise<void>
  health(): Promise<ConsumerHealth>
  lag(): Promise<PartitionLag[]>
  /** Goes on where parking has paused a partition; answers how many there were. */
  resume(): number
}
