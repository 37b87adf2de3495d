import { Database } from 'bun:sqlite'
import { join } from 'node:path'
import { partitionsDefault, topics } from '#events/topics.ts'
import type { NewRecord } from '../event-log.ts'
import { Changes } from './changes.ts'
import type { Group } from './group.ts'
import { DataDirUnusable, lockDataDir } from './lock.ts'
import { RecordTable } from './record-table.ts'
import { isTrimDue, trimSome } from './retention.ts'
import { makeTables } from './schema.ts'
import { TopicTable } from './topic-table.ts'

export interface StoreOptions {
  dataDir: string
  /**
   * True (the default): takes the folder's lock for this process. False: another connection of the process that has
   * it, as of a worker thread.
   */
  isOwner?: boolean
}

/**
 * One connection to the file that holds the hot state and the event log of an embedded Sluice. Several threads of one
 * process may each have one; they see each other's commits.
 */
export interface Store extends Disposable {
  /** Pragmas set: WAL, `synchronous` NORMAL. Write only by `transact`. */
  readonly db: Database
  /** Name → partitions. */
  readonly topics: ReadonlyMap<string, number>
  readonly topicTable: TopicTable
  readonly records: RecordTable
  readonly changes: Changes
  /** The groups whose members are in this thread. */
  readonly groups: Map<string, Group>
  /** Only inside `transact`. A dead-letter topic is made when it is first written to; else an unknown one throws. */
  append(records: readonly NewRecord[]): void
  /**
   * Runs `work`, which must be synchronous, in one `BEGIN IMMEDIATE` … `COMMIT`, then wakes the log's readers; a call
   * inside `work` joins it. Undone whole when `work` throws.
   */
  transact<T>(work: () => T): T
  /**
   * Runs `work`, which must be synchronous and only read, on one state of the file. While others write, a read by itself
   * costs many times its part of a shared one, for each finds the cache void.
   */
  glimpse<T>(work: () => T): T
  /** Idempotent; never changes the partitions of one that exists. */
  makeTopic(name: string, partitions: number): void
  /** Looks for what other connections have stored. Readers call it; nobody else needs to. */
  refresh(): void
  /** Moves the WAL into the file when it should be: call it each second from a thread that may wait for the disk. */
  checkpoint(): void
  /**
   * Deletes some of what is older than its topic keeps it; answers how many. Call it each minute, and again soon while it
   * answers more than 0.
   */
  trim(nowMs: number): number
}

// While somebody writes, a checkpoint waits for so much: its fsync holds up writes of other threads, for 20 to 70 ms on a
// slow disk, however little there is to move.
const checkpointPagesMin = 8_192
// Past it writers wait for the rest of a checkpoint, 20 to 130 ms, so that the WAL is written from its start again: each 25 s
// at 30,000 tokens a second, and a start after a kill reads as much. The file stays, for to write over what is there costs
// half of what new blocks do, and to shorten it holds up a commit.
const walPagesMax = 65_536
// Only when nobody calls `checkpoint`: then the commit that reaches it does.
const walPagesAlone = 2 * walPagesMax
const walBytesLeft = 256 << 20

/** Throws `DataDirInUse` or `DataDirUnusable`. */
export function openStore({ dataDir, isOwner = true }: StoreOptions): Store {
  const lock = isOwner ? lockDataDir(dataDir) : null
  try {
    return openFile(join(dataDir, 'sluice.sqlite'), lock)
  } catch (error) {
    lock?.[Symbol.dispose]()
    throw new DataDirUnusable(dataDir, error)
  }
}

function openFile(path: string, lock: Disposable | null): Store {
  const db = new Database(path, { create: true })
  try {
    // In this order: a start on a WAL left by a kill must wait for its recovery.
    db.run('PRAGMA busy_timeout=5000')
    db.run('PRAGMA journal_mode=WAL')
    db.run('PRAGMA synchronous=NORMAL')
    db.run(`PRAGMA wal_autocheckpoint=${walPagesAlone}`)
    db.run(`PRAGMA journal_size_limit=${walBytesLeft}`)
    makeTables(db)
    return new SqliteStore(db, lock)
  } catch (error) {
    db.close()
    throw error
  }
}

class SqliteStore implements Store {
  readonly db: Database
  readonly topicTable: TopicTable
  readonly records: RecordTable
  readonly changes: Changes
  readonly groups = new Map<string, Group>()
  readonly #lock: Disposable | null
  readonly #begin
  readonly #beginRead
  readonly #commit
  readonly #rollback
  readonly #walSize
  readonly #version
  #seenVersion = -1
  #toldVersion = -1
  #walPages = 0
  #isInside = false
  #hasAppended = false

  constructor(db: Database, lock: Disposable | null) {
    this.db = db
    this.#lock = lock
    this.#begin = db.prepare('BEGIN IMMEDIATE')
    this.#beginRead = db.prepare('BEGIN')
    this.#commit = db.prepare('COMMIT')
    this.#rollback = db.prepare('ROLLBACK')
    this.#walSize = db.prepare('PRAGMA wal_checkpoint(NOOP)')
    this.#version = db.prepare('PRAGMA data_version')
    this.topicTable = new TopicTable(db)
    this.records = new RecordTable(db, this.topicTable)
    this.changes = new Changes(() => this.#look())
    if (this.topicTable.all().length === 0) {
      this.transact(() => {
        for (const topic of Object.values(topics)) this.topicTable.make(topic, partitionsDefault)
      })
    }
  }

  get topics(): ReadonlyMap<string, number> {
    return this.topicTable.partitions
  }

  append(records: readonly NewRecord[]): void {
    if (!this.#isInside) throw new Error('append outside transact')
    this.records.append(records)
    this.#hasAppended = true
  }

  transact<T>(work: () => T): T {
    if (this.#isInside) return work()
    this.#begin.run()
    this.#isInside = true
    this.#hasAppended = false
    let result: T
    try {
      this.refresh()
      result = work()
      this.#commit.run()
    } catch (error) {
      this.#undo()
      throw error
    } finally {
      this.#isInside = false
    }
    if (this.#hasAppended) this.changes.notify()
    return result
  }

  glimpse<T>(work: () => T): T {
    if (this.db.inTransaction) return work()
    this.#beginRead.run()
    try {
      return work()
    } finally {
      // A read that failed may have ended it.
      if (this.db.inTransaction) this.#commit.run()
    }
  }

  makeTopic(name: string, partitions: number): void {
    this.transact(() => {
      this.topicTable.make(name, partitions)
      this.#hasAppended = true
    })
  }

  refresh(): void {
    const version = this.#version.values()[0]?.[0] as number
    if (version === this.#seenVersion) return
    this.#seenVersion = version
    this.records.forget()
    this.topicTable.load()
  }

  // Not as part of `refresh`: each reader that looks would wake all others, and they it, for as long as somebody writes.
  #look(): boolean {
    this.refresh()
    if (this.#toldVersion === this.#seenVersion) return false
    this.#toldVersion = this.#seenVersion
    return true
  }

  checkpoint(): void {
    const [, pages = 0, moved = 0] = (this.#walSize.values()[0] ?? []) as number[]
    const isQuiet = pages === this.#walPages
    this.#walPages = pages
    const due = pages - moved
    if (due === 0 || (due < checkpointPagesMin && !isQuiet)) return
    this.db.run('PRAGMA wal_checkpoint(PASSIVE)')
    if (pages <= walPagesMax) return
    // Once more for what came meanwhile, so that writers wait for little.
    this.db.run('PRAGMA wal_checkpoint(PASSIVE)')
    this.db.run('PRAGMA wal_checkpoint(RESTART)')
  }

  trim(nowMs: number): number {
    this.refresh()
    for (const { name } of this.topicTable.all()) {
      for (const place of this.topicTable.placesOf(name)) {
        if (!isTrimDue(this.records, place, nowMs)) continue
        return this.transact(() => trimSome(this.records, place, nowMs))
      }
    }
    return 0
  }

  [Symbol.dispose](): void {
    this.changes[Symbol.dispose]()
    this.db.close(true)
    this.#lock?.[Symbol.dispose]()
  }

  #undo(): void {
    // SQLite may have rolled back by itself, as on a full disk.
    if (this.db.inTransaction) this.#rollback.run()
    this.records.forget()
    this.topicTable.load()
  }
}
