import type { Store } from '#eventlog/sqlite/store.ts'
import type { Generations, GenerationsOptions } from '../generations.ts'
import { Attendance } from './attendance.ts'
import { createHot } from './hot.ts'
import { appendSteps } from './steps/append.ts'
import { beginning } from './steps/begin.ts'
import { claiming, finishing } from './steps/end.ts'
import { erasing } from './steps/erase.ts'
import { expiring } from './steps/expiry.ts'
import { keeping } from './steps/keep.ts'
import { reading } from './steps/read.ts'
import { together } from './together.ts'

interface Extras {
  /** Milliseconds since the epoch; leases and expiry go by it. */
  now?: () => number
  /** Between two looks for what is over its time. */
  sweepMs?: number
  /** This file has had every session that Postgres may know: one that it never had is new, and nobody need be asked. */
  seesAll?: boolean
}

const biteMs = 50
/** A transaction: the slower pace spares a busy thread 1.4 µs a step. */
const pace = { usualMs: 2, busyMs: 4 }

/**
 * Hot state in the SQLite file of the event log, so that a step and its events are one transaction. The file has one owner,
 * who keeps what is active in memory: an owner of an answer from before this was opened is dead, and its lease over.
 */
export function sqliteGenerations(
  store: Store,
  options: GenerationsOptions,
  { now = Date.now, sweepMs = 1_000, seesAll = false }: Extras = {},
): Generations {
  const hot = createHot(store, { ...options, seesAll }, now)
  hot.ready()
  const append = appendSteps(hot)
  const { begin, request } = beginning(hot)
  const claim = claiming(hot)
  const finish = finishing(hot)
  const erase = erasing(hot)
  const { read, snapshot, find } = reading(hot)
  const keep = keeping(hot)
  const sweep = expiring(hot)
  const attendance = new Attendance()
  let timer = setTimeout(look, sweepMs).unref()

  function look(): void {
    let isAll = true
    hot.attempt(() => {
      isAll = sweep().isAll
    })
    // In small bites, so that no step waits for long.
    timer = setTimeout(look, isAll ? sweepMs : Math.min(sweepMs, biteMs)).unref()
  }

  // Every body is synchronous; `async` makes a fault of the disk a rejection.
  return {
    open: together(keep.open),
    restore: async (cold) => keep.restore(cold),
    session: async (sessionId) => keep.session(sessionId),
    request: async (session, requestId) => request(session, requestId),
    begin: async (step) => begin(step),
    append: async (steps) => append(steps),
    claim: async (step) => claim(step),
    finish: async (step) => finish(step),
    erase: async (step) => erase(step),
    renew: async (leases) => keep.renew(leases),
    lapsed: async () => keep.lapsed(),
    setStatus: keep.setStatus,
    read: async (sessionId, after, maxSteps, maxBytes) =>
      read(sessionId, after, maxSteps, maxBytes),
    snapshot: async (sessionId) => snapshot(sessionId),
    find: async (messageId) => find(messageId),
    watch: async (sessionId, listener, options) => ({
      close: hot.watchers.add(sessionId, listener, options),
    }),
    attend: (sessionId) => attendance.attend(sessionId),
    isAttended: async (sessionId) => attendance.isAttended(sessionId),
    tell: hot.tell,
    // The step itself writes into the event log: there is no outbox.
    isCrowded: () => false,
    pace,
    health: async () => hot.health(),
    async [Symbol.asyncDispose]() {
      clearTimeout(timer)
      hot.attempt(hot.flush)
    },
  }
}
