import { z } from 'zod'
import type { PartitionBy } from '#db/partitions.ts'
import { duration, type Env, parseEnv } from '#runtime/env.ts'
import { doorOf, nodeIdOf, postgresUrl, processEnv, redisUrls } from '#runtime/process-env.ts'

/** What every consumer's process reads. */
export interface ConsumerConfig {
  databaseUrl: string
  /** null: it doesn't listen. */
  port: number | null
  host: string
  nodeId: string
  partitionBy: PartitionBy
  /** null: the audit is kept for good. */
  auditRetentionMs: number | null
}

/** Of a process of the real mode all three servers are named, also those that it doesn't use. */
export const ConsumerEnv = z.object({
  ...processEnv,
  KAFKA_BROKERS: z.string(),
  REDIS_URL: redisUrls(),
  DATABASE_URL: postgresUrl(),
  PARTITION_BY: z.enum(['month', 'day']).default('month'),
  AUDIT_RETENTION: duration()
    .refine((ms) => ms >= 86_400_000, { error: 'must be at least 1d' })
    .optional(),
})

/** `hostName` is the node's name when `NODE_ID` is unset. Throws a `ConfigError` with every problem. */
export function consumerConfig(env: Env, hostName: string): ConsumerConfig {
  const set = parseEnv(ConsumerEnv, env)
  return {
    databaseUrl: set.DATABASE_URL,
    port: set.PORT ?? null,
    host: doorOf(env).host,
    nodeId: nodeIdOf(set.NODE_ID, hostName),
    partitionBy: set.PARTITION_BY,
    auditRetentionMs: set.AUDIT_RETENTION ?? null,
  }
}
