import { hostname } from 'node:os'
import { postgresDatabase } from '#db/postgres.ts'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { runProcess, untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { replayConfig } from './config.ts'
import { serveReplay } from './serve-replay.ts'

// `bun run consumer:replay`: the replay REST API, read only.
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

process.exitCode = await runProcess(run, { signal, withinMs: 9_500 })
