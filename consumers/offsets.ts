import type { Database, Db } from '#db/client.ts'
import { addConsumed } from '#db/queries/add-consumed.ts'
import { addOffsets } from '#db/queries/add-offsets.ts'
import { advanceOffsets } from '#db/queries/advance-offsets.ts'
import { moveOffset } from '#db/queries/move-offset.ts'
import { readOffsets } from '#db/queries/read-offsets.ts'
import type { EventLog, From, Kept, Partition, Position } from '#eventlog/event-log.ts'
import type { Log } from '#runtime/log.ts'
import type { ConsumedEvent } from './define.ts'
import type { Transactions } from './transactions.ts'

/** Another member has moved this offset: what was in hand is not done by us. */
export class Fenced extends Error {
  override name = 'Fenced'
}

interface Move extends Partition {
  /** Offset of the first record that is covered. */
  first: number
  /** The offset to go on from. */
  next: number
}

/** Where to go on; or why that is impossible. */
type Located = Position & ({ is: 'kept' } | { is: 'lost'; reason: string })

/** Where a group's offsets are kept. */
export interface Offsets {
  /** They are rows of a table, moved in the transaction of what they cover. */
  isTable: boolean
  /** Resolves when a commit would soon begin. */
  turn(): Promise<void>
  /** Runs `work` (perhaps more than once) and moves the offset: both or neither. Throws `Fenced`. */
  commit(move: Move, work: (transaction?: Db) => Promise<void>): Promise<void>
  /** The events that this group has not handled before; they count as handled with the transaction. */
  onlyNew(transaction: Db, events: ConsumedEvent[]): Promise<ConsumedEvent[]>
  /** Moves offsets over records that nobody wants; never back. */
  advance(positions: Position[]): Promise<void>
  /** Where to go on. */
  locate(partitions: Partition[]): Promise<Located[]>
}

interface LogOffsetsOptions {
  group: string
  from: From
  eventLog: EventLog
  logger: Log
}

/** Offsets that only the log keeps: what `handle` did may come again. */
export function logOffsets({ group, from, eventLog, logger }: LogOffsetsOptions): Offsets {
  return {
    isTable: false,
    turn: () => Promise.resolve(),
    commit: (_move, work) => work(),
    onlyNew: (_transaction, events) => Promise.resolve(events),
    advance: () => Promise.resolve(),
    async locate(partitions) {
      // Where a new group begins is settled once and soon committed: begun again, "the end" would be another one.
      const committed = await eventLog.committed(group)
      const kept = await keptOf(partitions, eventLog)
      const isNew = (range: Kept) => !committed.some((position) => isSame(position, range))
      const starts = await startsOf(kept.filter(isNew), from, eventLog)
      return kept.map((range): Located => {
        const known = [...committed, ...starts].find((position) => isSame(position, range))
        const offset = Math.max(range.from, known?.offset ?? range.from)
        if (known !== undefined && offset > known.offset) {
          logger.error('records were deleted before they were read', { ...place(range), offset })
        }
        return { ...place(range), offset, is: 'kept' }
      })
    },
  }
}

interface TableOffsetsOptions {
  group: string
  from: From
  database: Database
  eventLog: EventLog
  transactions: Transactions
}

/** Offsets in `consumer_offsets`: exactly once in the table, whatever is killed when. */
export function tableOffsets(options: TableOffsetsOptions): Offsets {
  const { group, database, transactions } = options
  return {
    isTable: true,
    turn: () => transactions.turn(),
    commit: (move, work) =>
      transactions.run(async (transaction) => {
        // First, for its row lock decides who goes on when two members believe that the partition is theirs.
        if (!(await moveOffset(transaction, { groupId: group, ...move }))) {
          throw new Fenced(`${group} ${move.topic}/${move.partition} ${move.first}`)
        }
        await work(transaction)
      }),
    async onlyNew(transaction, events) {
      const ids = events.map(({ event }) => event.eventId)
      const added = new Set(await addConsumed(transaction, group, ids))
      return events.filter(({ event }) => added.delete(event.eventId))
    },
    advance: (positions) => advanceOffsets(database.db, group, positions),
    locate: (partitions) => locate(partitions, options),
  }
}

async function locate(partitions: Partition[], options: TableOffsetsOptions): Promise<Located[]> {
  const { group, database, eventLog, from } = options
  const kept = await keptOf(partitions, eventLog)
  const starts = await startsOf(kept, from, eventLog)
  await addOffsets(database.db, group, starts)
  const table = await readOffsets(database.db, group)
  return kept.map((range) => {
    const { topic, partition } = range
    const row = table.find((at) => at.topic === topic && at.partition === partition)
    const offset = row?.offset ?? range.from
    const reason = `offset ${offset} of ${group} is outside the log's ${range.from} to ${range.to}`
    const isKept = offset >= range.from && offset <= range.to
    return { topic, partition, offset, ...(isKept ? { is: 'kept' } : { is: 'lost', reason }) }
  })
}

async function keptOf(partitions: Partition[], eventLog: EventLog): Promise<Kept[]> {
  const topics = [...new Set(partitions.map(({ topic }) => topic))]
  const kept = (await Promise.all(topics.map((topic) => eventLog.kept(topic)))).flatMap(
    (ranges) => ranges ?? [],
  )
  return partitions.map(
    ({ topic, partition }) =>
      kept.find((range) => range.topic === topic && range.partition === partition) ?? {
        topic,
        partition,
        from: 0,
        to: 0,
      },
  )
}

async function startsOf(kept: Kept[], from: From, eventLog: EventLog): Promise<Position[]> {
  if (from === 'beginning') return kept.map((range) => ({ ...place(range), offset: range.from }))
  if (from === 'end') return kept.map((range) => ({ ...place(range), offset: range.to }))
  const topics = [...new Set(kept.map(({ topic }) => topic))]
  const found = await Promise.all(topics.map((topic) => eventLog.offsetsAt(topic, from.atMs)))
  const wanted = new Set(kept.map(({ topic, partition }) => `${topic}/${partition}`))
  return found.flat().filter(({ topic, partition }) => wanted.has(`${topic}/${partition}`))
}

function place({ topic, partition }: Partition): Partition {
  return { topic, partition }
}

function isSame(a: Partition, b: Partition): boolean {
  return a.topic === b.topic && a.partition === b.partition
}
