import { startRedis } from './redis.ts'
import type { Requirement } from './requirements.ts'

/** The Redis of the suites that run on the real parts too: one for all of them. */
export async function runRedis(): Promise<Requirement> {
  const server = await startRedis()
  return { env: { SLUICE_TEST_REDIS: server.url }, release: () => server.kill() }
}
