import { z } from 'zod'
import type { ConsumerDefinition } from '#consumers/define.ts'
import { ConfigError, type Env, integer, parseEnv } from '#runtime/env.ts'
import { doorOf, postgresUrl } from '#runtime/process-env.ts'

export interface CustomConfig {
  /** null: the log is that of the folder. */
  brokers: string | null
  dataDir: string
  databaseUrl: string | null
  /** null: it doesn't listen. */
  port: number | null
  host: string
  nodeId: string
}

const CustomEnv = z.object({
  KAFKA_BROKERS: z.string().optional(),
  DATABASE_URL: postgresUrl().optional(),
  DATA_DIR: z.string().default('.sluice'),
  PORT: integer(0, 65_535).optional(),
  NODE_ID: z.string().optional(),
})

/** A consumer of somebody's own needs the log alone, and a database only with `once`. Throws a `ConfigError`. */
export function customConfig(
  env: Env,
  hostName: string,
  { name, once = false, transactional = once }: ConsumerDefinition,
): CustomConfig {
  const set = parseEnv(CustomEnv, env)
  if (transactional && set.DATABASE_URL === undefined) {
    throw new ConfigError([`DATABASE_URL: must be set, for ${name} has once: true`])
  }
  return {
    brokers: set.KAFKA_BROKERS ?? null,
    dataDir: set.DATA_DIR,
    databaseUrl: set.DATABASE_URL ?? null,
    port: set.PORT ?? null,
    host: doorOf(env).host,
    nodeId: set.NODE_ID ?? hostName,
  }
}
