import { existsSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Database } from '#db/client.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { quietLog } from '#runtime/log.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import type { OpenLog } from '../command.ts'
import { processTerminal } from '../terminal.ts'
import { dlqCommand } from './command.ts'
import type { Refused } from './refused.ts'

const { env } = process
const dataDir = env['DATA_DIR'] || '.sluice'
const isFolder = !env['KAFKA_BROKERS']

// What only one mode needs is loaded in that mode.
async function open(isAlone = false): Promise<OpenLog> {
  if (!isFolder) {
    const { kafkaConfig } = await import('#eventlog/kafka/config.ts')
    const { kafkaLog } = await import('#eventlog/kafka/kafka-log.ts')
    const eventLog = kafkaLog({ ...kafkaConfig(env), log: quietLog })
    return { eventLog, [Symbol.asyncDispose]: () => eventLog[Symbol.asyncDispose]() }
  }
  if (!existsSync(join(dataDir, 'sluice.sqlite')))
    throw new Error(`there is no Sluice in ${dataDir}`)
  const store = openStore({ dataDir, isOwner: isAlone })
  const eventLog = sqliteLog(store)
  return {
    eventLog,
    async [Symbol.asyncDispose]() {
      await eventLog[Symbol.asyncDispose]()
      store[Symbol.dispose]()
    },
  }
}

async function openDatabase(): Promise<Database> {
  if (isFolder) {
    const { pgliteDatabase } = await import('#db/pglite.ts')
    const database = await pgliteDatabase(join(dataDir, 'postgres'))
    await migrate(database, { nowMs: Date.now() })
    return database
  }
  const url = env['DATABASE_URL']
  if (!url) throw new Error('DATABASE_URL: must be set')
  return postgresDatabase(url, { name: 'sluice-dlq', max: 2 })
}

/** A folder has no outbox. */
async function refused(): Promise<Refused[]> {
  if (isFolder) return []
  const url = env['REDIS_URL']
  if (!url) throw new Error('REDIS_URL: must be set')
  const { refusedEvents } = await import('#gateway/generations/redis/refused.ts')
  return refusedEvents({ url })
}

process.exitCode = await dlqCommand({
  ...{ args: process.argv.slice(2), isFolder, open, openDatabase, refused, now: Date.now },
  actor: `cli:${userInfo().username}`,
  nodeId: env['NODE_ID'] || hostname(),
  signal: untilSignal(),
  terminal: processTerminal(),
})
