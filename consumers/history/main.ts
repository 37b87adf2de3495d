import { hostname } from 'node:os'
import { postgresDatabase } from '#db/postgres.ts'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { consumerCommand } from '../command.ts'

import { rebuildCommand, rebuildStatementMs } from '../rebuild-command.ts'
import { keepTables, serveConsumer } from '../serve-consumer.ts'
import { historyConfig } from './config.ts'
import { historyConsumer } from './handle.ts'
import { endOrphans } from './orphans.ts'

const name = 'consumer:history'
const about = 'Writes sessions and messages, and makes them searchable.'
const { env } = process
const signal = untilSignal()

process.exitCode = await consumerCommand(
  { name, about, args: process.argv.slice(2), canRebuild: true, signal },
  async ({ from, isRebuild, isJson }) => {
    const { config, kafka } = together({
      config: () => historyConfig(env, hostname()),
      kafka: () => kafkaConfig(env),
      telemetry: () => telemetryConfig(env),
    })
    const log = createLog({
      process: name,
      ...(isRebuild && { write: (line) => process.stderr.write(line) }),
    })
    const telemetry = await startTelemetry({ process: name, env })
    const patience = isRebuild ? { statementTimeoutMs: rebuildStatementMs } : {}
    await using database = postgresDatabase(config.databaseUrl, { name, ...patience })
    await using eventLog = kafkaLog({ ...kafka, log })
    const dependencies = { kafka: () => eventLog.health() }
    const parts = { config, eventLog, database, dependencies, log, signal }
    const definition = { ...historyConsumer(), ...(from !== null && { from }) }
    if (isRebuild) await rebuildCommand(definition, { projection: 'history', isJson, ...parts })
    else {
      void keepTables(parts)
      void endOrphans(parts)
      await serveConsumer(definition, parts)
    }
    await telemetry.shutdown()
  },
)
