import { describe, expect, test } from 'bun:test'
import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { hostSettings } from '#eventlog/kafka/settings.ts'
import { newTopic } from '#eventlog/kafka/topic-table.ts'
import { ConfigError } from '#runtime/env.ts'

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    kafkaConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

const brokers = { KAFKA_BROKERS: 'a:9092' }

describe('the configuration of Kafka', () => {
  test('needs brokers and nothing else', () => {
    expect(kafkaConfig({ KAFKA_BROKERS: ' a:9092, [::1]:9093 ,' })).toEqual({
      brokers: ['a:9092', '[::1]:9093'],
      clientId: 'sluice',
    })
    expect(problemsOf({})).toEqual(['KAFKA_BROKERS: must be set'])
  })

  test.each([
    ['KAFKA_BROKERS', 'a'],
    ['KAFKA_BROKERS', 'a:0'],
    ['KAFKA_BROKERS', 'a:99999'],
    ['KAFKA_BROKERS', 'a:9092,b'],
    ['KAFKA_BROKERS', 'kafka://a:9092'],
    ['KAFKA_BROKERS', ','],
    ['KAFKA_CLIENT_ID', 'a b'],
    ['KAFKA_SSL_ENABLED', 'yes'],
    ['KAFKA_SSL_VERIFY', '1'],
    ['KAFKA_SASL_MECHANISM', 'GSSAPI'],
    ['KAFKA_SSL_CERTIFICATE', '/cert'],
    ['KAFKA_SSL_KEY_PASSWORD', 'x'],
    ['KAFKA_BROKER', 'a:9092'],
  ])('refuses %s=%s by name', (name, value) => {
    const problems = problemsOf({ ...brokers, [name]: value })
    expect(problems.length).toBeGreaterThan(0)
    expect(problems.some((problem) => problem.includes(name))).toBe(true)
  })

  test('names what is missing beside a part of SASL', () => {
    const problems = problemsOf({ ...brokers, KAFKA_SASL_USERNAME: 'me' })
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'KAFKA_SASL_MECHANISM',
      'KAFKA_SASL_PASSWORD',
    ])
  })

  test('names every problem at once', () => {
    const problems = problemsOf({ KAFKA_BROKERS: 'a', KAFKA_SSL_VERIFY: 'x', KAFKA_NONSENSE: '1' })
    expect(problems).toHaveLength(3)
  })

  test('passes SASL and TLS on to every client', () => {
    const config = kafkaConfig({
      ...brokers,
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'me',
      KAFKA_SASL_PASSWORD: 'secret',
      KAFKA_SSL_CA: '/ca',
      KAFKA_SSL_CERTIFICATE: '/certificate',
      KAFKA_SSL_KEY: '/key',
      KAFKA_SSL_KEY_PASSWORD: 'opens',
      KAFKA_SSL_VERIFY: 'false',
    })
    const { admin, producer, consumer, reader } = hostSettings(config)
    for (const settings of [admin, producer, consumer, reader]) {
      expect(settings).toMatchObject({
        'security.protocol': 'sasl_ssl',
        'sasl.mechanisms': 'SCRAM-SHA-512',
        'sasl.username': 'me',
        'sasl.password': 'secret',
        'ssl.ca.location': '/ca',
        'ssl.certificate.location': '/certificate',
        'ssl.key.location': '/key',
        'ssl.key.password': 'opens',
        'enable.ssl.certificate.verification': false,
      })
    }
  })

  test('is static membership only when it is asked for', () => {
    const id = 'group.instance.id'
    expect(hostSettings(kafkaConfig(brokers)).consumer).not.toHaveProperty([id])
    const named = kafkaConfig({ ...brokers, GROUP_INSTANCE_ID: 'audit-1' })
    expect(hostSettings(named).consumer[id]).toBe('audit-1')
  })
})

describe('a topic', () => {
  test('is kept as often as there are brokers, at most three times', () => {
    const [one, two, many] = [1, 2, 9].map((count) => newTopic('stream-events', 16, count))
    expect(one).toMatchObject({ replication: 1, config: { 'min.insync.replicas': '1' } })
    expect(two).toMatchObject({ replication: 2, config: { 'min.insync.replicas': '2' } })
    expect(many).toMatchObject({ replication: 3, config: { 'min.insync.replicas': '2' } })
  })

  test('holds its records 7 days, those of chat and dead letters 30', () => {
    const daysOf = (topic: string) =>
      Number(newTopic(topic, 16, 1).config['retention.ms']) / 86_400_000
    expect(daysOf('stream-events')).toBe(7)
    expect(daysOf('chat-events')).toBe(30)
    expect(daysOf('stream-events.audit-trail-consumer.dlq')).toBe(30)
  })

  test('takes records of any time, also of a node whose clock is hours ahead', () => {
    const { config } = newTopic('stream-events', 16, 1)
    for (const side of ['before', 'after']) {
      expect(config[`message.timestamp.${side}.max.ms`]).toBe('9223372036854775807')
    }
  })

  test('of dead letters takes more than the record that is parked there', () => {
    const bytesOf = (topic: string) => Number(newTopic(topic, 16, 1).config['max.message.bytes'])
    expect(bytesOf('stream-events')).toBe(4 << 20)
    expect(bytesOf('stream-events.g.dlq')).toBeGreaterThan(4 << 20)
  })
})
