import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { startMain } from '../support/consumer-process.ts'
import { faultProxy } from '../support/fault-proxy.ts'
import { OtlpCollector } from '../support/otlp-collector.ts'
import { productBroker } from '../support/product-broker.ts'
import { startRedis } from '../support/redis.ts'
import { arrived, expectComplete, FilledOutbox, startRelay } from '../support/relay.ts'
import { until } from '../support/until.ts'

// Processes take their time to start where two cores have much else to do.
setDefaultTimeout(120_000)

async function setUp() {
  const { broker, eventLog, brokers } = await productBroker()
  const redis = await startRedis()
  const outbox = await FilledOutbox.open(redis.url)
  const env = { KAFKA_BROKERS: brokers, REDIS_URL: redis.url }
  return { broker, eventLog, redis, outbox, env }
}

describe('a relay', () => {
  test('brings all that waits into the log, in order and once, and empties the outbox', async () => {
    const { eventLog, outbox, env } = await setUp()
    await outbox.tell({ sessions: 300, events: 20_000 })
    const relay = startRelay(env)
    expect(await relay.ready()).toMatchObject({ process: 'relay' })
    await outbox.emptied()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await outbox.tell({ sessions: 10, events: 50, traceparent })
    await outbox.emptied()
    expect(await expectComplete(eventLog, outbox)).toBe(0)
    expect((await relay.kill('SIGTERM')).code).toBe(0)
    expect(await outbox.holders()).toEqual(outbox.bases.map(() => null))
  })
})

describe('a relay that dies', () => {
  test('between acknowledgement and removal leaves events that another sends again, none lost', async () => {
    const { eventLog, redis, outbox, env } = await setUp()
    const proxy = await faultProxy(redis.port)
    await outbox.tell({ sessions: 100, events: 5_000 })
    const relay = startRelay({ ...env, REDIS_URL: `redis://127.0.0.1:${proxy.port}` })
    await until(async () => (await outbox.sizes()).n < 5_000, { timeoutMs: 30_000 })
    // What it has read still goes into the log, and cannot be taken out any more.
    proxy.stall()
    const arrivedNow = async () => (await arrived(eventLog)).length
    const left = (await outbox.sizes()).n
    await until(async () => (await arrivedNow()) > 5_000 - left, { timeoutMs: 10_000, everyMs: 50 })
    await relay.kill('SIGKILL')
    const other = startRelay(env)
    await outbox.emptied()
    expect(await expectComplete(eventLog, outbox)).toBeGreaterThan(0)
    expect((await other.kill('SIGTERM')).code).toBe(0)
  })

  test('is followed by the one that shared the work with it', async () => {
    const { eventLog, outbox, env } = await setUp()
    const relays = [startRelay(env), startRelay(env)]
    for (const relay of relays) await relay.ready()
    const shares = async () => {
      const counts = new Map<string | null, number>()
      for (const holder of await outbox.holders()) {
        counts.set(holder, (counts.get(holder) ?? 0) + 1)
      }
      return [...counts].filter(([holder]) => holder !== null).map(([, count]) => count)
    }
    const isShared = async () => `${await shares()}` === '32,32'
    await until(isShared, { timeoutMs: 15_000, everyMs: 100, what: 'each has its half' })
    await outbox.tell({ sessions: 300, events: 5_000 })
    await outbox.emptied()
    expect(await expectComplete(eventLog, outbox)).toBe(0)
    await outbox.tell({ sessions: 300, events: 10_000 })
    await relays[0]?.kill('SIGKILL')
    const diedAt = performance.now()
    await until(async () => `${await shares()}` === '64', { timeoutMs: 25_000, everyMs: 100 })
    expect(performance.now() - diedAt).toBeLessThan(20_000)
    await outbox.emptied()
    await expectComplete(eventLog, outbox)
    // A third one gets its share again.
    startRelay(env)
    await until(isShared, { timeoutMs: 15_000, everyMs: 100, what: 'each has its half again' })
  })

  test('or freezes for longer than its leases last, and goes on: nothing lost, all in order', async () => {
    const { eventLog, outbox, env } = await setUp()
    const frozen = startRelay(env)
    await frozen.ready()
    await outbox.tell({ sessions: 300, events: 30_000 })
    await until(async () => (await outbox.sizes()).n < 28_000, { timeoutMs: 30_000, everyMs: 5 })
    process.kill(frozen.pid, 'SIGSTOP')
    const [token] = await outbox.holders()
    const other = startRelay(env)
    await until(
      async () => (await outbox.holders()).every((now) => now !== null && now !== token),
      {
        timeoutMs: 30_000,
        everyMs: 100,
        what: 'the other has every shard',
      },
    )
    await outbox.tell({ sessions: 300, events: 5_000 })
    process.kill(frozen.pid, 'SIGCONT')
    await outbox.tell({ sessions: 300, events: 5_000 })
    await until(async () => new Set(await outbox.holders()).size === 2, { timeoutMs: 30_000 })
    await outbox.tell({ sessions: 300, events: 5_000 })
    await outbox.emptied()
    await expectComplete(eventLog, outbox)
    for (const relay of [frozen, other]) expect((await relay.kill('SIGTERM')).code).toBe(0)
  })
})

test('a relay exports how long events take, how many wait and for how long', async () => {
  const { redis, outbox, broker, env } = await setUp()
  await using collector = new OtlpCollector()
  await outbox.tell({ sessions: 20, events: 100 })
  await broker.kill()
  const relay = startRelay({
    ...env,
    REDIS_URL: redis.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_METRIC_EXPORT_INTERVAL: '300',
  })
  const last = (name: string) => collector.metric(name)?.points[0]?.value ?? 0
  const waits = () => last('outbox.depth') === 100 && last('outbox.age') > 1
  await until(waits, { timeoutMs: 30_000, what: 'what waits is told' })
  await broker.start()
  await outbox.emptied()
  const isTold = () => last('outbox.depth') === 0 && collector.metric('relay.publish.duration')
  await until(isTold, { timeoutMs: 20_000, what: 'what went is told' })
  expect(collector.metric('relay.publish.duration')).toMatchObject({
    kind: 'histogram',
    unit: 'ms',
  })
  expect([...collector.services]).toEqual(['sluice-relay'])
  expect((await relay.kill('SIGTERM')).code).toBe(0)
})

test('what its environment lacks is said in a line each, and its command line is checked', async () => {
  const { code, err, out } = await startRelay({ PORT: 'http' }).ended
  expect([code, out]).toEqual([1, ''])
  const lines = err.trim().split('\n')
  expect(lines.map((line) => line.split(':')[0]).toSorted()).toEqual([
    'KAFKA_BROKERS',
    'PORT',
    'REDIS_URL',
  ])
  expect((await startMain('gateway/relay/main.ts', {}, ['--help']).ended).code).toBe(0)
  expect((await startMain('gateway/relay/main.ts', {}, ['--no']).ended).code).toBe(2)
})
