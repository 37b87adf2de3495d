import { beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import type { Database } from '#db/client.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import type { KafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { runCli, startConsumer } from '../support/consumer-process.ts'
import { chats, eventsIn, rowsIn } from '../support/log-contents.ts'
import { testDatabase } from '../support/postgres.ts'
import { productBroker } from '../support/product-broker.ts'
import { receiver } from '../support/receiver.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

let eventLog: KafkaLog
let brokers = ''
let database: Database
let env: Record<string, string>

beforeAll(async () => {
  const product = await productBroker()
  brokers = product.brokers
  eventLog = product.eventLog
}, 60_000)

// What an earlier test has told is the next one's, too; its tables are empty.
beforeEach(async () => {
  const server = await testDatabase()
  database = postgresDatabase(server.url, { max: 4 })
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })
  await migrate(database, { nowMs: Date.now() })
  env = {
    KAFKA_BROKERS: brokers,
    REDIS_URL: 'redis://127.0.0.1:6379',
    DATABASE_URL: server.url,
    PORT: '0',
  }
})

const patience = { timeoutMs: 20_000, everyMs: 100 }

describe('consumers as processes', () => {
  test('make rows that equal the events, commit for lag tools, are ready and end on SIGTERM', async () => {
    await eventLog.produce(chats('first', 200))
    const names = ['audit', 'analytics', 'history'] as const
    const processes = names.map((name) => startConsumer(name, env))
    const ready = await Promise.all(processes.map((process) => process.ready()))
    expect(ready).toMatchObject([
      { process: 'consumer:audit', group: 'audit-trail-consumer' },
      { process: 'consumer:analytics', group: 'analytics-consumer' },
      { process: 'consumer:history', group: 'history-consumer' },
    ])
    const told = await eventsIn(eventLog)
    expect(told).toMatchObject({ messages: 400, ends: 200 })
    await until(async () => Bun.deepEquals(await rowsIn(database), told), patience)
    for (const process of processes) {
      const url = await process.url()
      expect((await fetch(`${url}/health/ready`)).status).toBe(200)
      expect((await fetch(`${url}/health/live`)).status).toBe(200)
      expect(await (await fetch(`${url}/health`)).json()).toMatchObject({
        status: 'ready',
        dependencies: { kafka: { state: 'up' }, consumer: { state: 'up' } },
      })
      expect((await fetch(`${url}/other`)).status).toBe(404)
    }
    const lags = await until(async () => {
      const { code, out } = await runCli('lag', env, ['--json'])
      expect(code).toBe(0)
      const found = JSON.parse(out) as { group: string; lag: number }[]
      return found.length === 80 && found.every(({ lag }) => lag === 0) ? found : null
    }, patience)
    expect(Object.keys(lags?.[0] ?? {})).toEqual([
      'group',
      'topic',
      'partition',
      'committed',
      'end',
      'lag',
      'lagSeconds',
    ])
    expect([...new Set(lags?.map(({ group }) => group))]).toEqual([
      'analytics-consumer',
      'audit-trail-consumer',
      'history-consumer',
    ])
    const fromMs = performance.now()
    const ended = await Promise.all(processes.map((process) => process.kill('SIGTERM')))
    expect(ended.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(performance.now() - fromMs).toBeLessThan(10_000)
  }, 60_000)

  test('analytics and history are made anew, beside members that run', async () => {
    await eventLog.produce(chats('again', 50))
    const history = startConsumer('history', env)
    const analytics = startConsumer('analytics', env)
    const { messages, ends } = await eventsIn(eventLog)
    const isWhole = async () => {
      const rows = await rowsIn(database)
      return rows.messages === messages && rows.ends === ends
    }
    await until(isWhole, patience)
    for (const name of ['history', 'analytics'] as const) {
      const { code, out } = await startConsumer(name, env, ['--rebuild', '--json']).ended
      expect(code).toBe(0)
      expect(JSON.parse(out)).toMatchObject({ group: `${name}-consumer`, skipped: 0 })
    }
    expect(await isWhole()).toBe(true)
    await eventLog.produce(chats('after', 10))
    const after = await eventsIn(eventLog)
    await until(async () => {
      const rows = await rowsIn(database)
      return rows.messages === after.messages && rows.ends === after.ends
    }, patience)
    await Promise.all([history.kill('SIGTERM'), analytics.kill('SIGTERM')])
  }, 60_000)

  test('notify tells a webhook of what fails from now on', async () => {
    const hook = receiver()
    const notify = startConsumer('notify', { ...env, NOTIFY_WEBHOOK_URL: hook.url })
    expect(await notify.ready()).toMatchObject({
      process: 'consumer:notify',
      group: 'notification-consumer',
    })
    await eventLog.produce(chats('failing', 1))
    await until(() => hook.calls.length === 1, patience)
    const { body, key } = hook.calls[0] ?? {}
    expect(body).toMatchObject({ eventType: 'STREAM_ERROR', sessionId: 'failing-0', eventId: key })
    expect((await notify.kill('SIGTERM')).code).toBe(0)
  }, 60_000)

  test('replay answers auditors alone', async () => {
    await eventLog.produce(chats('replayed', 1))
    const secret = 'a secret of at least thirty-two bytes'
    const replay = startConsumer('replay', { ...env, AUTH: 'jwt', JWT_SECRET: secret })
    const url = `${await replay.url()}/api/replay/sessions/replayed-0`
    const token = (roles: string[]) =>
      new SignJWT({ roles })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('ada')
        .setExpirationTime('1m')
        .sign(new TextEncoder().encode(secret))
    const as = async (roles: string[]) =>
      fetch(url, { headers: { authorization: `Bearer ${await token(roles)}` } })
    expect((await fetch(url)).status).toBe(401)
    expect((await as([])).status).toBe(403)
    const answer = await as(['auditor'])
    expect([answer.status, await answer.json()]).toMatchObject([
      200,
      { sessionId: 'replayed-0', count: 6, complete: true },
    ])
    expect((await fetch(`${url}?token=x`)).status).toBe(400)
    expect((await replay.kill('SIGTERM')).code).toBe(0)
  }, 60_000)
})

describe('a consumer that cannot start', () => {
  test('says every problem on a line of its own', async () => {
    const { code, err, out } = await startConsumer('notify', {
      PORT: 'x',
      AUDIT_RETENTION: '7',
      NOTIFY_WEBHOOK_URL: 'no',
      NOTIFY_MAIL_FROM: 'a@b.example',
      NOTIFY_NAME: 'x',
      KAFKA_SSL_VERIFY: 'perhaps',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    }).ended
    expect([code, out]).toEqual([1, ''])
    const named = err
      .trim()
      .split('\n')
      .map((line) => line.split(':')[0])
    expect(named.toSorted()).toEqual([
      'AUDIT_RETENTION',
      'DATABASE_URL',
      'KAFKA_BROKERS',
      'KAFKA_SSL_VERIFY',
      'NOTIFY_MAIL_TO',
      'NOTIFY_NAME',
      'NOTIFY_SMTP_URL',
      'NOTIFY_WEBHOOK_URL',
      'OTEL_EXPORTER_OTLP_PROTOCOL',
      'PORT',
      'REDIS_URL',
    ])
  })

  test.each([
    ['audit', ['--rebuild']],
    ['history', ['--rebuild', '--from', '-1d']],
    ['analytics', ['--from', 'soon']],
    ['notify', ['mine.ts']],
  ] as const)('%s %p is no way to call it', async (name, args) => {
    const { code, err } = await startConsumer(name, {}, [...args]).ended
    expect(code).toBe(2)
    expect(err).toContain(`See bun run consumer:${name} --help`)
  })
})
