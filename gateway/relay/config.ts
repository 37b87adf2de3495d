import { z } from 'zod'
import { type Env, integer, list, parseEnv } from '#runtime/env.ts'
import { doorOf } from '../config.ts'

export interface RelayConfig {
  redisUrls: readonly string[]
  /** null: it doesn't listen. */
  port: number | null
  host: string
  nodeId: string
}

const identifier = /^[A-Za-z0-9._:-]{1,128}$/
const isRedisUrl = (text: string) => URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol)

const schema = z.object({
  REDIS_URL: list().refine((urls) => urls.length > 0 && urls.every(isRedisUrl), {
    error: 'must be a redis or rediss URL, or a list of them',
  }),
  PORT: integer(0, 65_535).optional(),
  HOST: z
    .string()
    .regex(/^[A-Za-z0-9._:-]+$/, 'must be a host name or an address')
    .optional(),
  NODE_ID: z.string().regex(identifier, 'must be 1 to 128 of A-Z a-z 0-9 . _ : -').optional(),
  AUTH: z.enum(['development', 'jwt']).optional(),
})

/** `hostName` is the node's name when `NODE_ID` is unset. Throws a `ConfigError` with every problem. */
export function relayConfig(env: Env, hostName: string): RelayConfig {
  const set = parseEnv(schema, env)
  return {
    redisUrls: set.REDIS_URL,
    port: set.PORT ?? null,
    host: doorOf(env).host,
    nodeId: set.NODE_ID ?? (identifier.test(hostName) ? hostName : 'node'),
  }
}
