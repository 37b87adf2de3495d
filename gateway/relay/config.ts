import { z } from 'zod'
import { type Env, parseEnv } from '#runtime/env.ts'
import { doorOf, nodeIdOf, processEnv, redisUrls } from '#runtime/process-env.ts'

export interface RelayConfig {
  redisUrls: readonly string[]
  /** null: it doesn't listen. */
  port: number | null
  host: string
  nodeId: string
}

const schema = z.object({ ...processEnv, REDIS_URL: redisUrls() })

/** `hostName` is the node's name when `NODE_ID` is unset. Throws a `ConfigError` with every problem. */
export function relayConfig(env: Env, hostName: string): RelayConfig {
  const set = parseEnv(schema, env)
  return {
    redisUrls: set.REDIS_URL,
    port: set.PORT ?? null,
    host: doorOf(env).host,
    nodeId: nodeIdOf(set.NODE_ID, hostName),
  }
}
