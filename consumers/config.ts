import { z } from 'zod'
import type { PartitionBy } from '#db/partitions.ts'
import { duration, type Env, integer, list, parseEnv } from '#runtime/env.ts'

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

const identifier = /^[A-Za-z0-9._:-]{1,128}$/
const isPostgresUrl = (text: string) =>
  URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)

const isRedisUrl = (text: string) => URL.canParse(text) && /^rediss?:$/.test(new URL(text).protocol)

/** Of a process of the real mode all three servers are named, also those that it doesn't use. */
export const ConsumerEnv = z.object({
  KAFKA_BROKERS: z.string(),
  REDIS_URL: list().refine((urls) => urls.length > 0 && urls.every(isRedisUrl), {
    error: 'must be a redis or rediss URL, or a list of them',
  }),
  DATABASE_URL: z.string().refine(isPostgresUrl, { error: 'must be a postgres URL' }),
  PORT: integer(0, 65_535).optional(),
  HOST: z
    .string()
    .regex(/^[A-Za-z0-9._:-]+$/, 'must be a host name or an address')
    .optional(),
  NODE_ID: z.string().regex(identifier, 'must be 1 to 128 of A-Z a-z 0-9 . _ : -').optional(),
  AUTH: z.enum(['development', 'jwt']).optional(),
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
    nodeId: set.NODE_ID ?? (identifier.test(hostName) ? hostName : 'node'),
    partitionBy: set.PARTITION_BY,
    auditRetentionMs: set.AUDIT_RETENTION ?? null,
  }
}

/** Who may come in and where from: `development` on a loopback address unless `AUTH` says otherwise. */
export function doorOf(env: Env): { mode: 'development' | 'jwt'; host: string } {
  const host = env['HOST'] || undefined
  const isOpen = env['AUTH'] === 'development' || (!env['AUTH'] && isLoopback(host ?? '127.0.0.1'))
  return { mode: isOpen ? 'development' : 'jwt', host: host ?? (isOpen ? '127.0.0.1' : '0.0.0.0') }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
