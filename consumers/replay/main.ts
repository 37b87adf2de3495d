import { hostname } from 'node:os'
import { postgresDatabase } from '#db/postgres.ts'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { runMain } from '#runtime/run-main.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { replayConfig } from './config.ts'
import { serveReplay } from './serve-replay.ts'

// `bun run consumer:replay`: the replay REST API, read only.
const usage = `Usage: bun run consumer:replay

Serves /api/replay: sessions, topics and partitions again from the log, on HOST and PORT (8090). Joins no group.

Configured by the environment: .env.example has every variable. SIGTERM: ends.
`
const name = 'consumer:replay'
const { env } = process
const signal = untilSignal()

async function run(): Promise<void> {
  const { config, kafka } = together({
    config: () => replayConfig(env, hostname()),
    kafka: () => kafkaConfig(env),
    telemetry: () => telemetryConfig(env),
  })
  const log = createLog({ process: name })
  const telemetry = await startTelemetry({ process: name, env })
  await using database = postgresDatabase(config.databaseUrl, { name })
  await using eventLog = kafkaLog({ ...kafka, log })
  const dependencies = { kafka: () => eventLog.health() }
  await serveReplay({ config, eventLog, database, dependencies, log, signal })
  await telemetry.shutdown()
}

process.exitCode = await runMain(usage, run, signal)
