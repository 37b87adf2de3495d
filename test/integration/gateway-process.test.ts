import { beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { shardBases } from '#gateway/generations/redis/shards.ts'
import { startMain } from '../support/consumer-process.ts'
import { faultProxy } from '../support/fault-proxy.ts'
import { freePort } from '../support/free-port.ts'
import { migratedUrl, startGateway } from '../support/gateway-process.ts'
import { type RedisServer, redisClient, startRedis } from '../support/redis.ts'
import { SseClient } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// Processes take their time to start where two cores have much else to do.
setDefaultTimeout(120_000)

let redis: RedisServer
let databaseUrl = ''
beforeAll(async () => {
  redis = await startRedis()
  databaseUrl = await migratedUrl()
}, 60_000)

const servers = () => ({ redisUrl: redis.url, databaseUrl })
const bases = shardBases('sluice:')

/** As relays do it. */
async function holdShards(url: string): Promise<void> {
  const client = await redisClient(url)
  await Promise.all(bases.map((base) => client.set(outboxKeys.relay(base), 'r', { EX: 60 })))
}

describe('a gateway', () => {
  test('is ready with all servers there, makes answers, and ends well', async () => {
    await holdShards(redis.url)
    const gateway = startGateway(servers(), { NODE_ID: 'n1' })
    const ready = await gateway.ready()
    expect(ready).toMatchObject({ msg: 'ready', process: 'gateway' })
    const { body } = await gateway.healthy(({ body: { status } }) => status === 'ready')
    expect(body).toEqual({
      status: 'ready',
      nodeId: 'n1',
      dependencies: {
        redis: { state: 'up' },
        postgres: { state: 'up' },
        model: { state: 'off' },
        relay: { state: 'up' },
      },
    })
    const ws = new WsClient(await gateway.url(), { sessionId: 'first' })
    await ws.live()
    const { messageId } = await ws.ask('/fast hello')
    const done = await ws.frame('done')
    expect(done).toMatchObject({ messageId, outcome: 'completed' })
    const told = await gateway.call('GET', `/api/messages/${messageId}`)
    expect(told.body).toMatchObject({
      status: 'finished',
      outcome: 'completed',
      sha256: done.sha256,
    })
    const { code, err } = await gateway.kill('SIGTERM')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(await ws.close()).toBe(1012)
  })

  test('is small, and nothing of Kafka is in it', async () => {
    const gateway = startGateway(servers())
    await gateway.ready()
    await gateway.call('GET', '/')
    const { VmRSS = '' } = Object.fromEntries(
      readFileSync(`/proc/${gateway.pid}/status`, 'utf8')
        .split('\n')
        .map((line) => line.split(':\t') as [string, string]),
    )
    expect(Number.parseInt(VmRSS, 10)).toBeWithin(10_000, 120_000)
    expect(readFileSync(`/proc/${gateway.pid}/maps`, 'utf8')).not.toMatch(/confluent|librdkafka/)
    const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8')
    expect(children).toBe('')
  })

  test('says what replay is served by', async () => {
    const gateway = startGateway(servers())
    const { status, body } = await gateway.call('GET', '/api/replay/sessions/x')
    expect(status).toBe(404)
    expect(body.error.message).toContain('consumer:replay')
  })
})

describe('its configuration', () => {
  const all = {
    KAFKA_BROKERS: '127.0.0.1:9092',
    REDIS_URL: 'redis://127.0.0.1:6379',
    DATABASE_URL: 'postgres://127.0.0.1/test',
  }

  test('names each server that is not named', async () => {
    for (const name of Object.keys(all)) {
      const { [name as keyof typeof all]: _, ...others } = all
      const { code, out, err } = await startMain('gateway/main.ts', others).ended
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toMatch(new RegExp(`^${name}: must be set[^\n]*\n$`))
    }
  })

  test('names all of them when none is, beside every other problem', async () => {
    const { code, err } = await startMain('gateway/main.ts', { PORT: 'x', MAX_USERS: '1' }).ended
    expect(code).toBe(1)
    const named = err
      .trim()
      .split('\n')
      .map((line) => line.split(':')[0])
    expect(named.toSorted()).toEqual([
      ...['DATABASE_URL', 'KAFKA_BROKERS', 'MAX_USERS', 'PORT', 'REDIS_URL'],
    ])
  })

  test('of real servers stops bun start, which says what to run instead', async () => {
    const { code, out, err } = await startMain('gateway/embedded/main.ts', all).ended
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err.trim().split('\n')).toHaveLength(1)
    for (const name of ['gateway', 'relay', 'consumer:history']) {
      expect(err).toContain(`bun run ${name}`)
    }
  })

  test('with an address that is taken stops the start, naming it', async () => {
    const first = startGateway(servers())
    const { port } = new URL(await first.url())
    const { code, err } = await startGateway(servers(), { PORT: port }).ended
    expect(code).toBe(1)
    expect(err).toContain(`PORT ${port}`)
  })
})

describe('when a server is away', () => {
  test('it starts without Redis, says so, and serves once Redis is there', async () => {
    const own = await startRedis()
    await own.kill()
    const gateway = startGateway({ redisUrl: own.url, databaseUrl })
    const { status, body } = await gateway.health()
    expect(status).toBe(503)
    expect(body).toMatchObject({ status: 'unready', dependencies: { redis: { state: 'down' } } })
    const fromMs = performance.now()
    const asked = await gateway.call('POST', '/api/chat', { message: 'hello' })
    expect(asked.body.error).toMatchObject({ code: 'unavailable', temporary: true })
    expect(performance.now() - fromMs).toBeLessThan(5_000)
    await own.start()
    await gateway.healthy((told) => told.status === 200)
    expect((await gateway.call('POST', '/api/chat', { message: 'hello' })).status).toBe(202)
  })

  for (const fault of ['refuse', 'stall'] as const) {
    test(`a Redis that ${fault}s is told within 3 s, questions get an answer within 5 s, sockets stay`, async () => {
      const proxy = await faultProxy(redis.port)
      const redisUrl = `redis://127.0.0.1:${proxy.port}`
      const gateway = startGateway({ redisUrl, databaseUrl })
      await gateway.healthy((told) => told.status === 200)
      const ws = new WsClient(await gateway.url(), { sessionId: `s-${fault}` })
      await ws.live()
      const { messageId } = await ws.ask('/long 400')
      await ws.frame('chunk')
      proxy[fault]()
      const fromMs = performance.now()
      const asked = gateway.call('POST', '/api/chat', { message: 'hello' })
      await gateway.healthy((told) => told.status === 503, 6_000)
      // Generous beside the contract's 3 s, for this machine is shared.
      expect(performance.now() - fromMs).toBeLessThan(4_500)
      expect((await asked).body.error.code).toBe('unavailable')
      expect(performance.now() - fromMs).toBeLessThan(6_500)
      proxy.flow()
      proxy.accept()
      await gateway.healthy((told) => told.status === 200)
      await until(() => ws.all('done').length === 1, { timeoutMs: 30_000 })
      expect(ws.all('done')[0]).toMatchObject({ messageId, outcome: 'completed' })
      expect(ws.closed).toBeNull()
    }, 60_000)
  }

  test('it starts without Postgres, degraded, and chats go on', async () => {
    const away = `postgres://postgres@127.0.0.1:${await freePort()}/none`
    const gateway = startGateway({ redisUrl: redis.url, databaseUrl: away })
    const { status, body } = await gateway.healthy(
      ({ body: { dependencies } }) => dependencies.redis.state === 'up',
    )
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'degraded',
      dependencies: { postgres: { state: 'down' } },
    })
    const sse = new SseClient(await gateway.url(), {
      path: 'api/chat',
      method: 'POST',
      body: JSON.stringify({ message: '/fast hello' }),
      headers: { 'content-type': 'application/json' },
    })
    const { sessionId } = await sse.frame('accepted')
    expect((await sse.frame('done')).outcome).toBe('completed')
    const again = await gateway.call('POST', '/api/chat', { sessionId, message: '/fast more' })
    expect(again.status).toBe(202)
    // Whose it is only Postgres may know.
    const cold = await gateway.call('POST', '/api/chat', { sessionId: 'cold', message: 'hello' })
    expect(cold.status).toBe(503)
    expect(cold.body.error.code).toBe('unavailable')
  })
})

describe('what its health says', () => {
  test('of a Redis that is set up badly: degraded, and why', async () => {
    const own = await startRedis(['--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru'])
    const gateway = startGateway({ redisUrl: own.url, databaseUrl })
    const { status, body } = await gateway.healthy(
      ({ body: { dependencies } }) =>
        dependencies.redis.state === 'up' && dependencies.redis.reason !== undefined,
    )
    expect(status).toBe(200)
    expect(body.status).toBe('degraded')
    const { state, reason } = body.dependencies.redis
    expect(state).toBe('up')
    expect(reason).toContain('allkeys-lru')
    expect(reason).toContain('append-only')
  })

  test('of a full outbox: unready, and no question is taken', async () => {
    const own = await startRedis()
    const client = await redisClient(own.url)
    await Promise.all(
      bases.map((base) => client.hSet(outboxKeys.size(base), { n: 1_000, b: 1_000 })),
    )
    const gateway = startGateway({ redisUrl: own.url, databaseUrl }, { OUTBOX_MAX_EVENTS: '640' })
    const { status } = await gateway.healthy(({ body: { dependencies } }) =>
      dependencies.redis.reason?.includes('outbox is full'),
    )
    expect(status).toBe(503)
    const asked = await gateway.call('POST', '/api/chat', { message: 'hello' })
    expect(asked.body.error.code).toBe('unavailable')
    await Promise.all(bases.map((base) => client.del(outboxKeys.size(base))))
    await gateway.healthy((told) => told.status === 200)
  })

  test('of relays: that none runs, that shards with events have none, that events wait, that all is well', async () => {
    const own = await startRedis()
    const client = await redisClient(own.url)
    const gateway = startGateway({ redisUrl: own.url, databaseUrl })
    const relay = async (what: RegExp | 'up') => {
      const told = await gateway.healthy(({ body: { dependencies } }) => {
        const { state, reason = '' } = dependencies.relay
        return what === 'up' ? state === 'up' && reason === '' : what.test(reason)
      })
      expect(told.status).toBe(200)
      const { dependencies, status } = told.body
      expect(status).toBe(dependencies.relay.state === 'up' ? 'ready' : 'degraded')
    }
    await relay(/^no relay runs/)
    await holdShards(own.url)
    await relay('up')
    const [base = ''] = bases
    const late = `${Date.now() - 8_000}-0`
    await client.xAdd(outboxKeys.stream(base), late, { t: 'chat-events', k: 'k', h: 'h', v: '{}' })
    await client.hSet(outboxKeys.size(base), { n: 1, b: 2 })
    await client.del(outboxKeys.relay(base))
    await relay(/^1 shards have no relay/)
    await client.set(outboxKeys.relay(base), 'r')
    await relay(/wait, the oldest for 1\d s/)
    await client.del([outboxKeys.stream(base), outboxKeys.size(base)])
    await relay('up')
    await client.xAdd(outboxKeys.refused(base), '*', { t: 'chat-events', e: 'too large' })
    await relay(/^1 events were refused.*dlq/)
  }, 60_000)
})
