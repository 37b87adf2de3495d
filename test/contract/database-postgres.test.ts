import { postgresFixture } from '#test/support/postgres-fixture.ts'
import { databaseSuite, transactionSuite } from './database.ts'
import { partitionSuite } from './db-partitions.ts'

const fixture = postgresFixture()

databaseSuite(() => fixture.database)
transactionSuite(() => fixture.database)
partitionSuite(() => fixture.database)
