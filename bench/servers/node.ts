import { postgresDatabase } from '#db/postgres.ts'
import { postgresArchive } from '#gateway/archive/postgres-archive.ts'
import { createGateway } from '#gateway/gateway.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { redisLimits } from '#gateway/limits/redis/redis-limits.ts'
import { realConfig } from '#gateway/real/config.ts'
import { noReplay } from '#gateway/real/no-replay.ts'
import { createLog } from '#runtime/log.ts'
import { sourceModel, unlimited } from '../source-model.ts'

// A node as `bun run gateway` makes it, with the bench's source for a model.
const config = realConfig({ ...process.env, ...unlimited, PORT: '0' }, 'bench')
const { redisUrls, databaseUrl } = config.servers
const log = createLog({ process: 'bench', level: 'warn' })
const database = postgresDatabase(databaseUrl, { name: 'bench' })
const generations = redisGenerations({ ...config, ...config.chat, url: redisUrls.join(',') })
const gateway = createGateway({
  ...{ config, generations, database, log },
  limits: redisLimits({ routes: generations.routes, config: config.limits, log }),
  archive: postgresArchive(database),
  model: sourceModel(process.env),
  forwardReplay: noReplay,
})
process.stdout.write(`${JSON.stringify({ msg: 'ready', url: gateway.url })}\n`)
