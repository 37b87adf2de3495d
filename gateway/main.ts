import { hostname } from 'node:os'
import { postgresDatabase } from '#db/postgres.ts'
import { createLog } from '#runtime/log.ts'
import { aborted, untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry } from '#runtime/telemetry.ts'
import { postgresArchive } from './archive/postgres-archive.ts'
import { createGateway } from './gateway.ts'
import { redisGenerations } from './generations/redis/redis-generations.ts'
import { redisLimits } from './limits/redis/redis-limits.ts'
import { configuredModel } from './models/configured-model.ts'
import { realConfig } from './real/config.ts'
import { noReplay } from './real/no-replay.ts'
import { outboxGauges } from './real/outbox-gauges.ts'

// `bun run gateway`: a node, one of any number. Hot state is in Redis, what is older in Postgres.
const name = 'gateway'
// After the drain nothing is worth waiting for: a server that hangs must not keep the process.
const lastMs = 5_000

async function run(): Promise<void> {
  const config = realConfig(process.env, hostname())
  const { redisUrls, databaseUrl } = config.servers
  const shutdown = untilSignal()
  const log = createLog({ process: name })
  const telemetry = await startTelemetry({ process: name, env: process.env })
  await using database = postgresDatabase(databaseUrl, { name })
  await using generations = redisGenerations({
    ...{ ...config, ...config.chat },
    url: redisUrls.join(','),
  })
  const { routes, backlog } = generations
  using _gauges = outboxGauges(backlog)
  await using limits = redisLimits({ routes, config: config.limits, log })
  await using gateway = createGateway({
    ...{ config, generations, database, limits, log },
    archive: postgresArchive(database),
    model: await configuredModel(config.model),
    forwardReplay: noReplay,
    dependencies: { relay: async () => backlog.relay() },
  })
  log.info('ready', { url: gateway.url })
  await aborted(shutdown)
  log.info('draining')
  await gateway.drain()
  setTimeout(() => process.exit(0), lastMs).unref()
  await telemetry.shutdown()
}

try {
  await run()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  // A connection to Redis that is given up while it comes about would keep the process.
  process.exit(1)
}
