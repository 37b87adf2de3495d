import { deploy, runScript, type Target } from './deployment.ts'
import type { LoadOptions } from './load/load.ts'
import { nowMs } from './source.ts'

export interface RunOptions {
  target: Target
  nodes: number
  load: 'stream' | 'fanout' | 'resume' | 'idle' | 'storm' | 'failover'
  clients: number
  tokensPerSecond?: number
  seconds?: number
  /** Clients of `resume` that stream beside those that are cut. */
  others?: number
}

export type Figures = Record<string, number | string>

const answerSeconds = { stream: 12, fanout: 6, resume: 8, idle: 6, storm: 6, failover: 6 }
const secret = 'a secret of the bench, of 32 bytes or more'

/** One load against fresh servers: these on one core, the load on the other. */
export async function runLoad(options: RunOptions): Promise<Figures> {
  const { target, nodes, load, clients, tokensPerSecond = 30, others = 0 } = options
  const { seconds = answerSeconds[load] } = options
  const epochMs = Math.floor(nowMs())
  const tokens = Math.round(tokensPerSecond * seconds)
  const isStorm = load === 'storm'
  await using deployment = await deploy({
    target,
    nodes: target === 'redis' ? nodes : 1,
    env: {
      BENCH_EPOCH_MS: String(epochMs),
      BENCH_RATE: String(tokensPerSecond),
      BENCH_TOKENS: String(tokens),
      BENCH_LOAD: load,
      ...(isStorm && { AUTH: 'jwt', HOST: '127.0.0.1', JWT_SECRET: secret }),
    },
    isProduct: isStorm,
  })
  const told: LoadOptions = {
    nodes: deployment.urls,
    pids: deployment.gatewayPids,
    redisPids: deployment.redisPids,
    epochMs,
    clients,
    tokensPerSecond,
    tokens,
    others,
    secret,
  }
  return await runScript<Figures>(load, told)
}
