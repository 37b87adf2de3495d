import { afterAll, beforeAll } from 'bun:test'
import type { Database } from '#db/client.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'

/** For a file of tests: a database with all tables, and where it is. Known once its tests run. */
export interface PostgresFixture {
  server: TestDatabase
  database: Database
}

export function postgresFixture(): PostgresFixture {
  const fixture = {} as PostgresFixture
  beforeAll(async () => {
    fixture.server = await testDatabase()
    fixture.database = postgresDatabase(fixture.server.url)
    await migrate(fixture.database, { nowMs: Date.now() })
  }, 60_000)
  afterAll(async () => {
    await fixture.database[Symbol.asyncDispose]()
    await fixture.server[Symbol.asyncDispose]()
  })
  return fixture
}
