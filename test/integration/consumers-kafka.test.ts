import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { consumerEdgesContract, consumersContract } from '../contract/consumers.ts'
import { testDatabase } from '../support/postgres.ts'
import { productBroker } from '../support/product-broker.ts'
import { atEnd } from '../support/tracker.ts'

async function kafkaParts() {
  // One each: where a group begins depends on all that is in the log.
  const { eventLog } = await productBroker()
  const server = await testDatabase()
  const database = postgresDatabase(server.url, { max: 6 })
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, { nowMs: Date.now() })
  return { eventLog, database }
}

consumersContract('Kafka and Postgres', kafkaParts)
consumerEdgesContract('Kafka and Postgres', kafkaParts)
