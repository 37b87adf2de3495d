import type { Database } from 'bun:sqlite'
import type { Store } from '#eventlog/sqlite/store.ts'
import { type Closing, closeEvent, recordOf } from '#events/codec.ts'
import type { GenerationsOptions } from '../generations.ts'
import type { FreeEvent, OpenEvent } from '../steps.ts'
import { createMirror, type Mirror } from './mirror.ts'
import { createGenerationRows, type GenerationRows } from './rows/generation-rows.ts'
import { createJournal, type Journal } from './rows/journal.ts'
import { createLogRows, type LogRows } from './rows/log-rows.ts'
import { createMessageRows, type MessageRows } from './rows/message-rows.ts'
import { createTables } from './rows/schema.ts'
import { createSessionRows, type SessionRows } from './rows/session-rows.ts'
import { createWatchers, type Watchers } from './watchers.ts'

export interface HotOptions extends GenerationsOptions {
  seesAll: boolean
}

/** What every step of this adapter works with. */
export interface Hot {
  db: Database
  options: HotOptions
  /** Milliseconds since the epoch; leases, expiry and new epochs go by it. */
  now(): number
  sessions: SessionRows
  generations: GenerationRows
  messages: MessageRows
  log: LogRows
  journal: Journal
  mirror: Mirror
  watchers: Watchers
  /** To be called before the mirror is looked at: it is built again after a transaction that failed. */
  ready(): void
  /** One transaction. What it said to watchers is heard once it is stored; when it fails, the mirror is no longer believed. */
  commit<T>(work: () => T): T
  /** Inside `commit`. */
  record(event: OpenEvent, closing: Closing): void
  tell(events: FreeEvent[]): void
  /** What is told and not yet stored. */
  flush(): void
  /** For what nobody waits for: a failure is kept for `health`. */
  attempt(work: () => void): void
  health(): { state: 'up' | 'down'; reason?: string }
}

/** Events of no step that wait for a disk that fails; the oldest go first. */
const toldMax = 10_000

export function createHot(store: Store, options: HotOptions, now: () => number): Hot {
  const { db } = store
  createTables(db)
  const rows = createRows(db, options)
  const watchers = createWatchers()
  const mirror = createMirror(rows)
  const told: FreeEvent[] = []
  let stale = true
  let flushing = false
  let failure: Error | null = null

  function transact<T>(work: () => T): T {
    try {
      const result = store.transact(work)
      failure = null
      return result
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
      stale = true
      throw error
    }
  }

  function ready(): void {
    if (!stale) return
    transact(() => mirror.rebuild())
    stale = false
    watchers.sayAll({ type: 'moved' })
    watchers.deliver()
  }

  function commit<T>(work: () => T): T {
    ready()
    const mark = watchers.waiting()
    const waiting = told.length
    let result: T
    try {
      result = transact(() => {
        if (waiting > 0) store.append(told.map(recordOf))
        return work()
      })
    } catch (error) {
      watchers.forget(mark)
      throw error
    }
    told.splice(0, waiting)
    watchers.deliver()
    return result
  }

  // For work that nobody waits for: health says what went wrong, and the next look tries again.
  function attempt(work: () => void): void {
    try {
      work()
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error))
    }
  }

  function flush(): void {
    flushing = false
    if (told.length > 0) commit(() => undefined)
  }

  return {
    db,
    options,
    now,
    ...rows,
    mirror,
    watchers,
    ready,
    commit,
    record(event, closing) {
      store.append([recordOf({ ...event, json: closeEvent(event.json, closing) })])
    },
    tell(events) {
      told.push(...events)
      if (told.length > toldMax) told.splice(0, told.length - toldMax)
      if (flushing) return
      flushing = true
      setImmediate(() => attempt(flush))
    },
    flush,
    attempt,
    health() {
      // With nothing to write, only a try shows that the disk is well again.
      if (failure !== null) attempt(() => commit(() => undefined))
      return failure === null ? { state: 'up' } : { state: 'down', reason: failure.message }
    },
  }
}

function createRows(db: Database, options: HotOptions) {
  return {
    sessions: createSessionRows(db, options),
    generations: createGenerationRows(db),
    messages: createMessageRows(db),
    log: createLogRows(db),
    journal: createJournal(db),
  }
}
