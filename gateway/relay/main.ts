import { hostname } from 'node:os'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { runMain } from '#runtime/run-main.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { redisOutbox } from '../generations/redis/redis-outbox.ts'
import { relayConfig } from './config.ts'
import { serveRelay } from './serve-relay.ts'

// `bun run relay`: brings what waits in the outboxes of Redis into Kafka. Any number of them; each takes shards.
const usage = `Usage: bun run relay

Brings events from the outbox in Redis (REDIS_URL) into Kafka (KAFKA_BROKERS), in order, at least once. Any number of
relays share the work; another takes over within 15 s what one leaves behind.

Configured by the environment: .env.example has every variable. SIGTERM: finishes what is in hand and ends.
`
const name = 'relay'
// Nobody waits for an event in Kafka, and lots of five would cost the broker a third more CPU.
const lingerMs = 25
const { env } = process
const signal = untilSignal()

async function run(): Promise<void> {
  const { config, kafka } = together({
    config: () => relayConfig(env, hostname()),
    kafka: () => kafkaConfig(env),
    telemetry: () => telemetryConfig(env),
  })
  const log = createLog({ process: name })
  const telemetry = await startTelemetry({ process: name, env })
  using outbox = redisOutbox({ url: config.redisUrls.join(',') })
  await using eventLog = kafkaLog({ ...kafka, log, lingerMs })
  await serveRelay({ config, outbox, eventLog, log, signal })
  await telemetry.shutdown()
}

process.exitCode = await runMain(usage, run, signal)
