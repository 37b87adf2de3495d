import { hostname } from 'node:os'
import { postgresDatabase } from '#db/postgres.ts'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { together } from '#runtime/env.ts'
import { createLog } from '#runtime/log.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry, telemetryConfig } from '#runtime/telemetry.ts'
import { consumerCommand } from '../command.ts'
import { serveConsumer } from '../serve-consumer.ts'
import { type NotifyTargets, notifyConfig } from './config.ts'
import { notifyConsumer } from './handle.ts'
import { mailTarget } from './mail.ts'
import type { Target } from './target.ts'
import { slackTarget, webhookTarget } from './webhook.ts'

const name = 'consumer:notify'
const about = 'Tells a webhook, Slack or people by mail of every answer that failed, at least once.'
const { env } = process
const signal = untilSignal()

function targetsOf({ webhookUrl, slackWebhookUrl, mail }: NotifyTargets): Target[] {
  return [
    ...(webhookUrl === null ? [] : [webhookTarget(webhookUrl)]),
    ...(slackWebhookUrl === null ? [] : [slackTarget(slackWebhookUrl)]),
    ...(mail === null ? [] : [mailTarget(mail)]),
  ]
}

process.exitCode = await consumerCommand(
  { name, about, args: process.argv.slice(2), signal },
  async ({ from }) => {
    const { config, kafka } = together({
      config: () => notifyConfig(env, hostname()),
      kafka: () => kafkaConfig(env),
      telemetry: () => telemetryConfig(env),
    })
    const log = createLog({ process: name })
    const telemetry = await startTelemetry({ process: name, env })
    await using database = postgresDatabase(config.databaseUrl, { name, max: 2 })
    await using eventLog = kafkaLog({ ...kafka, log })
    const definition = {
      ...notifyConsumer(targetsOf(config.targets)),
      ...(from !== null && { from }),
    }
    const dependencies = { kafka: () => eventLog.health() }
    await serveConsumer(definition, { config, eventLog, database, dependencies, log, signal })
    await telemetry.shutdown()
  },
)
