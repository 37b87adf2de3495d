import { migrate } from '#db/migrate.ts'
import { pgliteDatabase } from '#db/pglite.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore, type Store } from '#eventlog/sqlite/store.ts'
import { testDatabase } from '../support/postgres.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'
import type { Parts } from './consumers-bench.ts'

export interface StoredParts extends Parts {
  store: Store
}

/** The SQLite log with the machine's Postgres. */
export async function postgresParts(): Promise<StoredParts> {
  const log = openLog()
  const server = await testDatabase()
  const database = postgresDatabase(server.url, { max: 6 })
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, { nowMs: Date.now() })
  return { ...log, database }
}

/** The SQLite log with a Postgres in this thread. */
export async function pgliteParts(): Promise<StoredParts> {
  const log = openLog()
  const database = await pgliteDatabase('memory')
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
  })
  await migrate(database, { nowMs: Date.now() })
  return { ...log, database }
}

function openLog() {
  const store = openStore({ dataDir: tempDir() })
  const eventLog = sqliteLog(store)
  atEnd(async () => {
    await eventLog[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  })
  return { store, eventLog }
}
