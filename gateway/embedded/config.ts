import { z } from 'zod'
import type { PartitionBy } from '#db/partitions.ts'
import { ConfigError, duration, type Env, parseEnv, together } from '#runtime/env.ts'
import { telemetryConfig } from '#runtime/telemetry.ts'
import { type GatewayConfig, gatewayConfig, serverVariables } from '../config.ts'

export interface EmbeddedConfig {
  gateway: GatewayConfig
  partitionBy: PartitionBy
  /** null: the audit is kept for good. */
  auditRetentionMs: number | null
}

/** What the one process reads beyond a gateway's own variables. */
export const EmbeddedEnv = z.object({
  PARTITION_BY: z.enum(['month', 'day']).default('month'),
  AUDIT_RETENTION: duration()
    .refine((ms) => ms >= 86_400_000, { error: 'must be at least 1d' })
    .optional(),
})

/** Throws a `ConfigError` with every problem of the environment, telemetry's included. */
export function embeddedConfig(env: Env, hostName: string): EmbeddedConfig {
  const { gateway, own } = together({
    gateway: () => withoutServers(gatewayConfig(env, hostName)),
    own: () => parseEnv(EmbeddedEnv, env),
    telemetry: () => telemetryConfig(env),
  })
  return { gateway, partitionBy: own.PARTITION_BY, auditRetentionMs: own.AUDIT_RETENTION ?? null }
}

function withoutServers(config: GatewayConfig): GatewayConfig {
  if (config.servers === null) return config
  throw new ConfigError([
    `${serverVariables.join(', ')}: bun start runs without servers; with them it is bun run gateway, bun run relay, bun run consumer:history and the other consumers`,
  ])
}
