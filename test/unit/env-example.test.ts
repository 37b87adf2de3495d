import { expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import { ConsumerEnv } from '#consumers/config.ts'
import { NotifyEnv } from '#consumers/notify/config.ts'
import { ReplayEnv } from '#consumers/replay/config.ts'
import { KafkaEnv, kafkaConfig } from '#eventlog/kafka/config.ts'
import { GatewayEnv } from '#gateway/config.ts'
import { EmbeddedEnv, embeddedConfig } from '#gateway/embedded/config.ts'
import { parseEnv } from '#runtime/env.ts'
import { TelemetryEnv } from '#runtime/telemetry.ts'

const path = fileURLToPath(new URL('../../.env.example', import.meta.url))
const example = Object.fromEntries(
  [...(await Bun.file(path).text()).matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [
    name ?? '',
    value ?? '',
  ]),
)

test('.env.example has every variable, and no other', () => {
  const own = [GatewayEnv, EmbeddedEnv, NotifyEnv, TelemetryEnv, KafkaEnv, ConsumerEnv, ReplayEnv]
  const known = new Set(own.flatMap((schema) => Object.keys(schema.shape)))
  expect(Object.keys(example).toSorted()).toEqual([...known].toSorted())
})

test('its values are the defaults', () => {
  expect(embeddedConfig(example, 'node')).toEqual(embeddedConfig({}, 'node'))
  const brokers = { KAFKA_BROKERS: 'kafka:9092' }
  expect(kafkaConfig({ ...example, ...brokers })).toEqual(kafkaConfig(brokers))
  expect(parseEnv(TelemetryEnv, example)).toMatchObject(parseEnv(TelemetryEnv, {}))
})
