import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { PGlite, type Transaction, types } from '@electric-sql/pglite'
import { type Database, type DatabaseHealth, dbOver, type Run } from './client.ts'
import { DatabaseAway } from './errors.ts'

export interface PgliteDatabase extends Database {
  /** Statements outside any transaction, for a host that runs them for another thread. */
  run: Run
}

/**
 * Postgres in this thread: 3 s and up to 1 GB to make a new one, 0.5 s to open it again. Survives the kill of its
 * process, not of its machine. The caller sees to it that nobody else has the folder open: PGlite would lose data.
 */
export async function pgliteDatabase(dataDir: string | 'memory'): Promise<PgliteDatabase> {
  const startParams = [...PGlite.defaultStartParams, ...settings]
  const pglite =
    dataDir === 'memory'
      ? await PGlite.create({ startParams })
      : await openFolder(dataDir, () => PGlite.create({ dataDir, startParams }))
  const run = runOn(pglite, pglite)
  return {
    run,
    db: dbOver(run),
    transaction: (work) =>
      guarded(pglite, () => pglite.transaction((tx) => work(dbOver(runOn(tx, pglite))))),
    health: () => healthOf(run),
    async [Symbol.asyncDispose]() {
      if (!pglite.closed) await pglite.close()
    },
  }
}

const settings = [
  // Nobody checkpoints by the clock here: this alone bounds the disk that it takes and the time of a recovery.
  ...['-c', 'max_wal_size=96MB', '-c', 'min_wal_size=32MB'],
  ...['-c', 'TimeZone=UTC', '-c', 'jit=off'],
]

/** A folder whose making was cut short is made anew: it holds nothing yet, and may look whole. */
async function openFolder(dataDir: string, open: () => Promise<PGlite>): Promise<PGlite> {
  const unfinished = `${dataDir}.unfinished`
  if (existsSync(unfinished)) rmSync(dataDir, { recursive: true, force: true })
  if (existsSync(dataDir)) return open()
  mkdirSync(dirname(dataDir), { recursive: true })
  writeFileSync(unfinished, '')
  const pglite = await open()
  rmSync(unfinished)
  return pglite
}

const asText = (value: string) => value
// Drizzle's columns parse dates themselves. PGlite knows 64-bit integers as bigint, which JSON and arithmetic refuse.
const parsers = {
  [types.TIMESTAMP]: asText,
  [types.TIMESTAMPTZ]: asText,
  [types.INTERVAL]: asText,
  [types.DATE]: asText,
  [types.INT8]: Number,
}

function runOn(of: PGlite | Transaction, pglite: PGlite): Run {
  return (text, params, shape) =>
    guarded(pglite, async () => {
      const { rows } = await of.query(text, params, { rowMode: shape, parsers })
      return rows
    })
}

async function guarded<T>(pglite: PGlite, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    // A trap of its WebAssembly is not an error of Postgres: nothing can be had of this instance any more.
    if (pglite.closed || cause instanceof WebAssembly.RuntimeError) {
      throw new DatabaseAway('PGlite is closed or has crashed', { cause })
    }
    throw cause
  }
}

const healthMs = 2_500

async function healthOf(run: Run): Promise<DatabaseHealth> {
  const late = Promise.withResolvers<DatabaseHealth>()
  // It waits its turn behind a long transaction.
  const timer = setTimeout(
    () => late.resolve({ state: 'down', reason: `no answer within ${healthMs} ms` }),
    healthMs,
  )
  const asked = run('select 1', [], 'array').then(
    (): DatabaseHealth => ({ state: 'up' }),
    (error): DatabaseHealth => ({
      state: 'down',
      reason: error instanceof Error ? error.message : String(error),
    }),
  )
  try {
    return await Promise.race([asked, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
