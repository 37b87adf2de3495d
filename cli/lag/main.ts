import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { quietLog } from '#runtime/log.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import type { OpenLog } from '../command.ts'
import { processTerminal } from '../terminal.ts'
import { lagCommand } from './command.ts'

const { env } = process
const dataDir = env['DATA_DIR'] || '.sluice'

function open(): OpenLog | Promise<OpenLog> {
  return env['KAFKA_BROKERS'] ? openKafka() : openFolder()
}

// Loaded when it is wanted, for a folder needs nothing of it.
async function openKafka(): Promise<OpenLog> {
  const { kafkaConfig } = await import('#eventlog/kafka/config.ts')
  const { kafkaLog } = await import('#eventlog/kafka/kafka-log.ts')
  const eventLog = kafkaLog({ ...kafkaConfig(env), log: quietLog })
  return { eventLog, [Symbol.asyncDispose]: () => eventLog[Symbol.asyncDispose]() }
}

function openFolder(): OpenLog {
  if (!existsSync(join(dataDir, 'sluice.sqlite')))
    throw new Error(`there is no Sluice in ${dataDir}`)
  const store = openStore({ dataDir, isOwner: false })
  const eventLog = sqliteLog(store)
  return {
    eventLog,
    async [Symbol.asyncDispose]() {
      await eventLog[Symbol.asyncDispose]()
      store[Symbol.dispose]()
    },
  }
}

process.exitCode = await lagCommand({
  args: process.argv.slice(2),
  open,
  now: Date.now,
  signal: untilSignal(),
  terminal: processTerminal(),
})
