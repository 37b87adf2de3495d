import { hostname } from 'node:os'
import { postgresDatabase } from '#db/postgres.ts'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { consumerCommand } from '../command.ts'
import { consumerConfig } from '../config.ts'
import { rebuildCommand, rebuildStatementMs } from '../rebuild-command.ts'
import { serveConsumer } from '../serve-consumer.ts'
import { analyticsConsumer } from './handle.ts'

const name = 'consumer:analytics'
const about = 'Counts and measures every event once: analytics_minutes and metrics.'
const { env } = process
const signal = untilSignal()

process.exitCode = await consumerCommand(
  { name, about, args: process.argv.slice(2), canRebuild: true, signal },
  async ({ from, isRebuild, isJson }) => {
    const { config, kafka } = together({
      config: () => consumerConfig(env, hostname()),
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
    const definition = { ...analyticsConsumer(), ...(from !== null && { from }) }
    if (isRebuild) await rebuildCommand(definition, { projection: 'analytics', isJson, ...parts })
    else await serveConsumer(definition, parts)
    await telemetry.shutdown()
  },
)
