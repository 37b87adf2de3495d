import { afterAll, beforeAll } from 'bun:test'
import type { Database } from '#db/client.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { type TestDatabase, testDatabase } from '#test/support/postgres.ts'
import { databaseSuite, transactionSuite } from './database.ts'
import { partitionSuite } from './db-partitions.ts'

let server: TestDatabase
let database: Database

beforeAll(async () => {
  server = await testDatabase()
  database = postgresDatabase(server.url)
  await migrate(database, { nowMs: Date.now() })
}, 60_000)

afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

databaseSuite(() => database)
transactionSuite(() => database)
partitionSuite(() => database)
