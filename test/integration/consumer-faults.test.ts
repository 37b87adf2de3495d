import { beforeAll, describe, expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import type { KafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { dlqTopic, topics } from '#events/topics.ts'
import { textRecord } from '../contract/consumers-events.ts'
import { runCli, startConsumer } from '../support/consumer-process.ts'
import type { Broker } from '../support/kafka-broker.ts'
import { chats, eventsIn, recordsOf, rowsIn } from '../support/log-contents.ts'
import { type PostgresServer, postgresServer } from '../support/postgres-server.ts'
import { productBroker } from '../support/product-broker.ts'
import { seeded } from '../support/seeded.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

let eventLog: KafkaLog
let broker: Broker
let server: PostgresServer
let database: Database
let env: Record<string, string>

beforeAll(async () => {
  const product = await productBroker()
  broker = product.broker
  eventLog = product.eventLog
  server = await postgresServer({ isStarted: true })
  database = postgresDatabase(server.url, { max: 4 })
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
  })
  await migrate(database, { nowMs: Date.now() })
  env = {
    KAFKA_BROKERS: product.brokers,
    REDIS_URL: 'redis://127.0.0.1:6379',
    DATABASE_URL: server.url,
    PORT: '0',
  }
}, 90_000)

const patience = { timeoutMs: 70_000, everyMs: 100 }
const isWhole = async (told: Awaited<ReturnType<typeof eventsIn>>) => {
  const rows = await rowsIn(database).catch(() => null)
  return rows !== null && Bun.deepEquals(rows, told)
}
const statusOf = async (url: string) => (await fetch(`${url}/health/ready`)).status

describe('rows equal events', () => {
  test('after consumers were killed again and again over a backlog', async () => {
    await eventLog.produce(chats('backlog', 3_400))
    const told = await eventsIn(eventLog)
    expect(told.events).toBeGreaterThan(15_000)
    const random = seeded(7)
    const names = ['audit', 'analytics', 'history'] as const
    for (const name of names) {
      const victim = startConsumer(name, env)
      await victim.ready(40_000)
      await Bun.sleep(random() * 300)
      await victim.kill('SIGKILL')
    }
    const processes = names.map((name) => startConsumer(name, env))
    for (const { lines, ready } of processes) {
      await ready(40_000)
      const client = lines().find(({ msg }) => msg === 'the Kafka client runs')
      process.kill(Number(client?.['pid']), 'SIGKILL')
    }
    await until(() => isWhole(told), { ...patience, what: 'rows equal events' })
    await Promise.all(processes.map((process) => process.kill('SIGTERM')))
  }, 180_000)

  test('after Postgres was gone, and after Kafka was', async () => {
    const names = ['audit', 'analytics', 'history'] as const
    const processes = names.map((name) => startConsumer(name, env))
    const urls = await Promise.all(processes.map((process) => process.url()))
    const [url = ''] = urls
    await eventLog.produce(chats('before', 100))
    await server.stop()
    await eventLog.produce(chats('while-postgres-is-away', 100))
    await until(async () => (await statusOf(url)) === 503, patience)
    await server.start()
    const told = await eventsIn(eventLog)
    await until(() => isWhole(told), patience)
    await until(async () => (await statusOf(url)) === 200, patience)
    await broker.kill()
    await until(async () => (await statusOf(url)) === 503, patience)
    await broker.start()
    await eventLog.produce(chats('after-kafka-was-away', 100))
    const all = await eventsIn(eventLog)
    await until(() => isWhole(all), patience)
    await until(async () => (await statusOf(url)) === 200, patience)
    const ended = await Promise.all(processes.map((process) => process.kill('SIGTERM')))
    expect(ended.map(({ code, err }) => ({ code, err }))).toEqual(
      Array(3).fill({ code: 0, err: '' }),
    )
  }, 180_000)

  test('when its servers come only after it, and SIGTERM ends it also before they do', async () => {
    await server.stop()
    await broker.kill()
    const early = startConsumer('audit', env)
    const waiting = startConsumer('audit', env)
    await Bun.sleep(2_000)
    const fromMs = performance.now()
    expect((await early.kill('SIGTERM')).code).toBe(0)
    expect(performance.now() - fromMs).toBeLessThan(10_000)
    expect(waiting.lines().some(({ msg }) => msg === 'ready')).toBe(false)
    await broker.start()
    await server.start()
    await waiting.ready(40_000)
    await eventLog.produce(chats('late', 10))
    const { events } = await eventsIn(eventLog)
    await until(async () => (await rowsIn(database)).events === events, patience)
    await waiting.kill('SIGTERM')
  }, 180_000)
})

describe('broken records', () => {
  const group = 'audit-trail-consumer'
  const topic = dlqTopic(topics.stream, group)
  const broken = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      ...textRecord(
        topics.stream,
        'broken',
        at % 2 === 0 ? 'no JSON' : '{"eventType":"STREAM_ERROR"}',
      ),
      partition: 5,
    }))

  test('in the middle of a batch are parked, listed and put back once, and all others are rows', async () => {
    const [one, two] = [chats('around', 10), chats('behind', 10)].map((records) =>
      records.map((record) => ({ ...record, partition: 5 })),
    )
    await eventLog.produce(
      [...(one ?? []), ...broken(2), ...(two ?? [])].filter(
        (record) => record.topic === topics.stream,
      ),
    )
    const audit = startConsumer('audit', env)
    const { events } = await eventsIn(eventLog)
    await until(async () => (await rowsIn(database)).events === events, patience)
    await audit.kill('SIGTERM')
    const parked = await recordsOf(eventLog, topic)
    const headers = parked.map((record) =>
      Object.fromEntries(
        record.headers.map(([name, value]) => [name, Buffer.from(value).toString()]),
      ),
    )
    const place = {
      'dlq-topic': topics.stream,
      'dlq-partition': '5',
      'dlq-group': group,
      'dlq-attempts': '1',
    }
    expect(headers).toMatchObject([
      { ...place, 'dlq-error-type': 'decode' },
      { ...place, 'dlq-error-type': 'schema' },
    ])
    const json = async (...args: string[]) => {
      const { code, out, err } = await runCli('dlq', env, [...args, '--json'])
      expect([code, err]).toEqual([0, ''])
      return JSON.parse(out) as unknown
    }
    expect(await json('list')).toMatchObject([{ topic, group, count: 2 }])
    expect(await json('show', topic)).toMatchObject([
      { key: 'broken', value: 'no JSON' },
      { key: 'broken' },
    ])
    expect(await json('redrive', topic, '--all', '--dry-run')).toEqual({ redriven: 2, skipped: 0 })
    expect(await json('redrive', topic, '--all')).toEqual({ redriven: 2, skipped: 0 })
    expect(await json('redrive', topic, '--all')).toEqual({ redriven: 0, skipped: 2 })
    // As broken as before, they are parked again.
    const again = startConsumer('audit', env)
    await until(async () => (await recordsOf(eventLog, topic)).length === 4, patience)
    await again.kill('SIGTERM')
  }, 90_000)

  test('in a crowd pause their partition, loudly, until it is told to go on', async () => {
    const before = (await recordsOf(eventLog, topic)).length
    const audit = startConsumer('audit', env)
    const url = await audit.url()
    await eventLog.produce(broken(30))
    await until(async () => (await statusOf(url)) === 503, patience)
    const health = (await (await fetch(`${url}/health`)).json()) as { dependencies: unknown }
    expect(JSON.stringify(health)).toContain('more than 20 records parked in a minute')
    expect(await recordsOf(eventLog, topic)).toHaveLength(before + 20)
    expect((await runCli('dlq', env, ['resume', group])).code).toBe(0)
    await until(async () => (await recordsOf(eventLog, topic)).length === before + 30, {
      timeoutMs: 15_000,
      everyMs: 100,
    })
    await until(async () => (await statusOf(url)) === 200, patience)
    await audit.kill('SIGTERM')
  }, 90_000)
})
