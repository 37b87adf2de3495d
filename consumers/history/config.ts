import { z } from 'zod'
import { type Env, integer, parseEnv, together } from '#runtime/env.ts'
import { type ConsumerConfig, consumerConfig } from '../config.ts'

export interface HistoryConfig extends ConsumerConfig {
  /** As gateways have it: no answer takes longer. */
  generationTimeoutMs: number
}

/** What it reads beyond every consumer's variables. */
export const HistoryEnv = z.object({
  GENERATION_TIMEOUT_MS: integer(1, 86_400_000).default(600_000),
})

/** Throws a `ConfigError` with every problem. */
export function historyConfig(env: Env, hostName: string): HistoryConfig {
  const { common, own } = together({
    common: () => consumerConfig(env, hostName),
    own: () => parseEnv(HistoryEnv, env),
  })
  return { ...common, generationTimeoutMs: own.GENERATION_TIMEOUT_MS }
}
