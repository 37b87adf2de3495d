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
import { keepTables, serveConsumer } from '../serve-consumer.ts'
import { auditConsumer } from './handle.ts'

const name = 'consumer:audit'
const about = 'Writes every event but chunks into audit_logs, once each.'
// Half the transactions of the default for a twentieth less CPU a row; twice that gains nothing more.
const batchSize = 1_000
const { env } = process
const signal = untilSignal()

process.exitCode = await consumerCommand(
  { name, about, args: process.argv.slice(2), signal },
  async ({ from }) => {
    const { config, kafka } = together({
      config: () => consumerConfig(env, hostname()),
      kafka: () => kafkaConfig(env),
      telemetry: () => telemetryConfig(env),
    })
    const log = createLog({ process: name })
    const telemetry = await startTelemetry({ process: name, env })
    await using database = postgresDatabase(config.databaseUrl, { name })
    await using eventLog = kafkaLog({ ...kafka, log })
    const dependencies = { kafka: () => eventLog.health() }
    const parts = { config, eventLog, database, dependencies, log, signal }
    void keepTables(parts)
    const definition = { ...auditConsumer({ log }), batchSize }
    await serveConsumer({ ...definition, ...(from !== null && { from }) }, parts)
    await telemetry.shutdown()
  },
)
