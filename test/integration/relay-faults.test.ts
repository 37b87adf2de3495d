import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { newTopic } from '#eventlog/kafka/topic-table.ts'
import { topics } from '#events/topics.ts'
import { runCli } from '../support/consumer-process.ts'
import { openKafkaLog, ownBroker } from '../support/kafka.ts'
import { productBroker } from '../support/product-broker.ts'
import { startRedis } from '../support/redis.ts'
import { startCluster } from '../support/redis-cluster.ts'
import { expectComplete, FilledOutbox, startRelay } from '../support/relay.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

// Processes take their time to start where two cores have much else to do.
setDefaultTimeout(120_000)

async function openLog(address: string) {
  const eventLog = await openKafkaLog({ brokers: [address] })
  atEnd(() => eventLog[Symbol.asyncDispose]())
  return eventLog
}

async function setUp() {
  const { broker, eventLog, brokers } = await productBroker()
  const redis = await startRedis()
  const outbox = await FilledOutbox.open(redis.url)
  return { broker, eventLog, redis, outbox, env: { KAFKA_BROKERS: brokers, REDIS_URL: redis.url } }
}

/** Some of `told` are taken out already. */
async function underWay(outbox: FilledOutbox): Promise<void> {
  const all = outbox.told.length
  const isSome = async () => {
    const { n } = await outbox.sizes()
    return n < all && n > 0
  }
  await until(isSome, { timeoutMs: 30_000, what: 'the relay is at work' })
}

test("the client's process is killed again and again: nothing is lost, all in order", async () => {
  const { eventLog, outbox, env } = await setUp()
  await outbox.tell({ sessions: 300, events: 40_000 })
  const relay = startRelay(env)
  await underWay(outbox)
  for (let kills = 0; kills < 3; kills += 1) {
    const children = `/proc/${relay.pid}/task/${relay.pid}/children`
    const child = await until(() => Number(readFileSync(children, 'utf8').split(' ')[0]), {
      timeoutMs: 20_000,
    })
    process.kill(child, 'SIGKILL')
    await until(() => Number(readFileSync(children, 'utf8').split(' ')[0]) !== child, {
      timeoutMs: 10_000,
    })
    await outbox.tell({ sessions: 300, events: 1_000 })
  }
  await outbox.emptied()
  await expectComplete(eventLog, outbox)
  expect((await relay.kill('SIGTERM')).code).toBe(0)
})

test('the broker is away at the start, and is killed midway: the relay waits, and nothing is lost', async () => {
  const { broker, eventLog, outbox, env } = await setUp()
  await broker.kill()
  await outbox.tell({ sessions: 300, events: 20_000 })
  const relay = startRelay({ ...env, PORT: '0' })
  const isHeld = async () => (await outbox.holders()).every((holder) => holder !== null)
  await until(isHeld, { timeoutMs: 20_000, everyMs: 50, what: 'the relay has all shards' })
  expect(relay.lines().some(({ msg }) => msg === 'ready')).toBe(false)
  await broker.start()
  const url = await relay.url()
  await underWay(outbox)
  await broker.kill()
  await outbox.tell({ sessions: 300, events: 5_000 })
  const health = async () => await (await fetch(`${url}/health/ready`)).json()
  await until(async () => (await health()).dependencies.kafka.state === 'down', {
    timeoutMs: 30_000,
    everyMs: 100,
  })
  expect((await outbox.sizes()).n).toBeGreaterThan(0)
  await broker.start()
  await outbox.emptied()
  await expectComplete(eventLog, outbox)
  const isReady = async () => (await health()).status === 'ready'
  await until(isReady, { timeoutMs: 20_000, everyMs: 100, what: 'the relay is ready again' })
  expect((await relay.kill('SIGTERM')).code).toBe(0)
})

test('a relay waits for topics, and says how they are made', async () => {
  const broker = await ownBroker()
  const redis = await startRedis()
  const outbox = await FilledOutbox.open(redis.url)
  await outbox.tell({ sessions: 50, events: 500 })
  const env = { KAFKA_BROKERS: broker.address, REDIS_URL: redis.url }
  const relay = startRelay(env)
  const isSaid = () => relay.lines().some(({ reason }) => `${reason}`.includes('bun run topics'))
  await until(isSaid, { timeoutMs: 20_000, what: 'it says what is missing' })
  expect(await outbox.sizes()).toMatchObject({ n: 500, entries: 500, refused: 0 })
  const eventLog = await openLog(broker.address)
  for (const topic of Object.values(topics)) await eventLog.createTopic(newTopic(topic, 4, 1))
  await relay.ready()
  await outbox.emptied()
  expect(await expectComplete(eventLog, outbox)).toBe(0)
  expect((await relay.kill('SIGTERM')).code).toBe(0)
})

test('what the topic refuses is put aside, told and listed, and nothing waits behind it', async () => {
  const broker = await ownBroker()
  const redis = await startRedis()
  const eventLog = await openLog(broker.address)
  for (const topic of Object.values(topics)) {
    const wanted = newTopic(topic, 4, 1)
    const config = { ...wanted.config, 'max.message.bytes': '1100000' }
    await eventLog.createTopic({ ...wanted, config })
  }
  const outbox = await FilledOutbox.open(redis.url)
  await outbox.tell({ sessions: 100, events: 2_000 })
  // What lz4 can't make smaller.
  const noise = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString('base64')
  const text = Array.from({ length: 25 }, (_, at) => noise.slice(at * 7)).join('')
  const tooLarge = Buffer.from(text).toString('base64')
  await outbox.tell({ sessions: 2, events: 2, text: tooLarge, topic: topics.chat })
  await outbox.tell({ sessions: 100, events: 2_000 })
  const env = { KAFKA_BROKERS: broker.address, REDIS_URL: redis.url }
  const relay = startRelay({ ...env, PORT: '0' })
  const url = await relay.url()
  await outbox.emptied()
  expect(await outbox.sizes()).toMatchObject({ refused: 2, least: 0 })
  const small = outbox.told.filter((_, at) => at < 2_000 || at >= 2_002)
  await expectComplete(eventLog, outbox, small)
  const health = async () => await (await fetch(`${url}/health/ready`)).json()
  await until(async () => (await health()).status === 'degraded', { timeoutMs: 10_000 })
  expect((await health()).dependencies.relay.reason).toBe('2 events were refused: bun run dlq list')
  const { code, out } = await runCli('dlq', env, ['list', '--json'])
  const listed = JSON.parse(out)
  expect([code, listed.length]).toEqual([0, 1])
  expect(listed[0]).toMatchObject({ topic: topics.chat, group: null, count: 2 })
  expect(listed[0].refused).toMatch(/too large/i)
  expect((await runCli('dlq', env, ['list'])).out).toMatch(/too large/i)
  expect((await relay.kill('SIGTERM')).code).toBe(0)
})

test('SIGTERM under load: what is in hand is finished, leases are given back, and the rest waits', async () => {
  const { eventLog, outbox, env } = await setUp()
  await outbox.tell({ sessions: 300, events: 60_000 })
  const relay = startRelay(env)
  await underWay(outbox)
  const startedAt = performance.now()
  expect((await relay.kill('SIGTERM')).code).toBe(0)
  expect(performance.now() - startedAt).toBeLessThan(12_000)
  expect(await outbox.holders()).toEqual(outbox.bases.map(() => null))
  const { n, entries } = await outbox.sizes()
  expect(n).toBe(entries)
  expect(n).toBeGreaterThan(0)
  startRelay(env)
  await outbox.emptied()
  expect(await expectComplete(eventLog, outbox)).toBe(0)
})

test('Redis is killed and comes back: the relay goes on, and nothing is lost', async () => {
  const { eventLog, redis, outbox, env } = await setUp()
  await outbox.tell({ sessions: 300, events: 20_000 })
  const relay = startRelay(env)
  // All that was told is on the disk before it may be asked for after the crash.
  await Bun.sleep(2_500)
  await redis.kill()
  await redis.start()
  await outbox.tell({ sessions: 300, events: 2_000 })
  await outbox.emptied()
  await expectComplete(eventLog, outbox)
  expect((await relay.kill('SIGTERM')).code).toBe(0)
})

test('it works on a cluster, and on a list of servers', async () => {
  const { eventLog, brokers } = await productBroker()
  const cluster = await startCluster()
  const outbox = await FilledOutbox.open(...cluster.nodes.map(({ url }) => url))
  await outbox.tell({ sessions: 300, events: 5_000 })
  const [first] = cluster.nodes
  const relay = startRelay({ KAFKA_BROKERS: brokers, REDIS_URL: first?.url ?? '' })
  await relay.ready()
  await outbox.emptied()
  expect(await expectComplete(eventLog, outbox)).toBe(0)
  expect((await relay.kill('SIGTERM')).code).toBe(0)
  expect(await outbox.holders()).toEqual(outbox.bases.map(() => null))

  const own = await productBroker()
  const servers = [await startRedis(), await startRedis()]
  const urls = servers.map(({ url }) => url)
  const listed = await FilledOutbox.open(...urls)
  await listed.tell({ sessions: 300, events: 5_000 })
  startRelay({ KAFKA_BROKERS: own.brokers, REDIS_URL: urls.join(',') })
  await listed.emptied()
  // One of them away is no reason for the other's events to wait.
  await servers[0]?.kill()
  await listed.tell({ sessions: 300, events: 1_000, on: 1 })
  await listed.emptied(60_000, 1)
  await servers[0]?.start()
  await listed.tell({ sessions: 300, events: 1_000 })
  await listed.emptied()
  await expectComplete(own.eventLog, listed)
})
