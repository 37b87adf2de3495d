import { beforeAll } from 'bun:test'
import { startRedis } from '../support/redis.ts'
import { generationsContract } from './generations.ts'
import { redisFixture } from './generations-redis-fixture.ts'

let url = ''
beforeAll(async () => {
  const server = await startRedis()
  url = server.url
})

generationsContract('Redis', (options) => redisFixture(url, options))
