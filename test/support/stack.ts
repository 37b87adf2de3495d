import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import { type ConsumerProcess, startConsumer, startMain } from './consumer-process.ts'
import { noLimits } from './no-limits.ts'
import { postgresServer } from './postgres-server.ts'
import { productBroker } from './product-broker.ts'
import { startRedis } from './redis.ts'
import { roundRobin } from './round-robin.ts'
import { atEnd, lasting } from './tracker.ts'

type ConsumerName = Parameters<typeof startConsumer>[0]

export interface StackOptions {
  consumers?: readonly ConsumerName[]
  /** Of the gateways. */
  env?: Record<string, string>
}

/** A process of the deployment, which may be killed and started again under its name. */
export interface Member {
  /** The one that runs, or ran last. */
  process: ConsumerProcess
  /** Resolves once it is ready. */
  start(): Promise<void>
}

/** A whole deployment as an operator has it: servers of its own, and processes started by the commands that they have. */
export type Stack = Awaited<ReturnType<typeof startStack>>

const startMs = 90_000

/** Two gateways behind a proxy that is not sticky, a relay, and the consumers. Ends with the test or file. */
export async function startStack(options: StackOptions = {}) {
  const { consumers: names = ['audit', 'history', 'analytics'] } = options
  const [redis, postgres, product] = await Promise.all([
    startRedis(['--maxmemory-policy', 'noeviction']),
    postgresServer({ isStarted: true }),
    productBroker(),
  ])
  const database = postgresDatabase(postgres.url, { max: 4 })
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
  })
  await migrate(database, { nowMs: Date.now() })
  const env = {
    REDIS_URL: redis.url,
    KAFKA_BROKERS: product.brokers,
    DATABASE_URL: postgres.url,
    AUTH: 'development',
    PORT: '0',
  }
  const gateways = [1, 2].map((nth) =>
    member(() =>
      startMain('gateway/main.ts', { ...env, ...noLimits, NODE_ID: `node-${nth}`, ...options.env }),
    ),
  )
  const relay = member(() => startMain('gateway/relay/main.ts', env))
  const consumers = names.map((name) => member(() => startConsumer(name, env)))
  await Promise.all([...gateways, relay, ...consumers].map(({ start }) => start()))
  const ports = new Map<Member, number>()
  const listen = async (gateway: Member) => {
    ports.set(gateway, Number(new URL(await gateway.process.url()).port))
  }
  for (const gateway of gateways) await listen(gateway)
  const replay = consumers[names.indexOf('replay')]
  const replayPort = Number(new URL((await replay?.process.url()) ?? 'http://none:0').port)
  const proxy = roundRobin((path) =>
    path.startsWith('/api/replay/') && replayPort > 0 ? [replayPort] : [...ports.values()],
  )
  atEnd(() => proxy.close())
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    redis: { ...redis, start: () => lasting(redis.start) },
    ...{ postgres, database, env },
    broker: product.broker,
    eventLog: product.eventLog,
    gateways,
    relay,
    consumers,
    /** The proxy sends nobody there any more, as one that looks at readiness. */
    leaveOut: (gateway: Member) => void ports.delete(gateway),
    /** Started again, and behind the proxy. */
    async bringBack(gateway: Member) {
      await gateway.start()
      await listen(gateway)
    },
  }
}

function member(begin: () => ConsumerProcess): Member {
  const it: Member = {
    process: begin(),
    async start() {
      if (it.process === first) first = null
      else it.process = lasting(begin)
      await it.process.ready(startMs)
    },
  }
  let first: ConsumerProcess | null = it.process
  return it
}
