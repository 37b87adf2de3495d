import { afterAll, beforeAll } from 'bun:test'
import { migrate } from '#db/migrate.ts'
import { type PgliteDatabase, pgliteDatabase } from '#db/pglite.ts'
import { opened } from '#test/support/tracker.ts'
import { databaseSuite, transactionSuite } from './database.ts'
import { partitionSuite } from './db-partitions.ts'

let database: PgliteDatabase
let closed: () => void

beforeAll(async () => {
  database = await pgliteDatabase('memory')
  closed = opened('PGlite')
  await migrate(database, { nowMs: Date.now() })
}, 60_000)

afterAll(async () => {
  await database[Symbol.asyncDispose]()
  closed()
})

databaseSuite(() => database)
transactionSuite(() => database)
partitionSuite(() => database)
