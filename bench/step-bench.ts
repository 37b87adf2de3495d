import { runScript } from './deployment.ts'
import { redisServer } from './real-servers.ts'
import type { Figures } from './run-load.ts'

/** Steps of hot state a second beside plain `XADD`s of the same client, each on a Redis of its own. CPU in µs a step. */
export async function stepBench(say: (line: string) => void): Promise<Figures[]> {
  const rows: Figures[] = []
  for (const atOnce of [16, 256]) {
    for (const what of ['xadd', 'step'] as const) {
      await using redis = await redisServer()
      const told = { redisUrl: redis.url, redisPid: redis.pid, what, atOnce }
      rows.push({ what, atOnce, ...(await runScript<Figures>('step', told)) })
      say(JSON.stringify(rows.at(-1)))
    }
  }
  return rows
}
