import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { consumerCommand } from '#consumers/command.ts'
import { markedResume } from '#consumers/resume.ts'
import { serveConsumer } from '#consumers/serve-consumer.ts'
import { postgresDatabase } from '#db/postgres.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { customConfig } from './config.ts'
import { loadConsumer } from './load.ts'

// `bun run consumer ./mine.ts`: a consumer of somebody's own, on Kafka or beside an embedded Sluice.
const about = `Runs the consumer that the file exports by default, as defineConsumer of consumers/define.ts makes it. Reads KAFKA_BROKERS,
else the folder of DATA_DIR (default .sluice), also while Sluice runs; "once" needs DATABASE_URL.`
const { env } = process
const signal = untilSignal()

function openFolder(dataDir: string): EventLog {
  if (!existsSync(join(dataDir, 'sluice.sqlite')))
    throw new Error(`KAFKA_BROKERS: must be set, for there is no Sluice in ${dataDir}`)
  return sqliteLog(openStore({ dataDir, isOwner: false }))
}

process.exitCode = await consumerCommand(
  { name: 'consumer', about, operand: '<file.ts>', args: process.argv.slice(2), signal },
  async ({ from, positionals: [path = ''] }) => {
    const definition = await loadConsumer(path, process.cwd())
    const { config, kafka } = together({
      config: () => customConfig(env, hostname(), definition),
      kafka: () => (env['KAFKA_BROKERS'] ? kafkaConfig(env) : null),
      telemetry: () => telemetryConfig(env),
    })
    const { databaseUrl, dataDir } = config
    const name = `consumer:${definition.name}`
    const log = createLog({ process: name })
    const telemetry = await startTelemetry({ process: name, env })
    await using database = databaseUrl === null ? null : postgresDatabase(databaseUrl, { name })
    await using eventLog = kafka === null ? openFolder(dataDir) : kafkaLog({ ...kafka, log })
    await serveConsumer(
      { ...definition, ...(from !== null && { from }) },
      {
        ...{ config, eventLog, log, signal },
        ...(database && { database }),
        ...(kafka === null && {
          resumeAskedAt: () => markedResume(eventLog, definition.groupId),
        }),
      },
    )
    await telemetry.shutdown()
  },
)
