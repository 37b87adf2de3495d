import { z } from 'zod'
import { ConfigError, type Env, parseEnv } from '#runtime/env.ts'
import type { JwtConfig } from '#runtime/jwt.ts'
import { type ConsumerConfig, consumerConfig, doorOf, isLoopback } from '../config.ts'

export interface ReplayConfig extends ConsumerConfig {
  port: number
  /** `development`: without a token one is who one says, else `demo_user` with all roles. */
  mode: 'development' | 'jwt'
  jwt: JwtConfig
}

const portDefault = 8_090
const isWebUrl = (text: string) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

/** What it reads beyond every consumer's variables. */
export const ReplayEnv = z.object({
  JWT_SECRET: z
    .string()
    .refine((secret) => Buffer.byteLength(secret) >= 32, {
      error: 'must be at least 32 bytes long',
    })
    .optional(),
  JWKS_URL: z.string().refine(isWebUrl, { error: 'must be an http or https URL' }).optional(),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: z.string().optional(),
})

/** Throws a `ConfigError` with the problems of these variables; those of every consumer are `consumerConfig`'s. */
export function replayConfig(env: Env, hostName: string): ReplayConfig {
  const problems: string[] = []
  const { mode, host } = doorOf(env)
  if (mode === 'development' && !isLoopback(host)) {
    problems.push(`AUTH: development is refused on HOST ${host}, which is not a loopback address`)
  }
  if (mode === 'jwt' && !env['JWT_SECRET'] && !env['JWKS_URL']) {
    problems.push('JWT_SECRET: must be set (or JWKS_URL) when AUTH is jwt')
  }
  const collect = <T>(parse: () => T): T | null => {
    try {
      return parse()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
      return null
    }
  }
  const common = collect(() => consumerConfig(env, hostName))
  const set = collect(() => parseEnv(ReplayEnv, env))
  if (common === null || set === null || problems.length > 0) {
    throw new ConfigError([...new Set(problems)])
  }
  return {
    ...common,
    port: common.port ?? portDefault,
    mode,
    jwt: {
      secret: set.JWT_SECRET ?? null,
      jwksUrl: set.JWKS_URL ?? null,
      issuer: set.JWT_ISSUER ?? null,
      audience: set.JWT_AUDIENCE ?? null,
    },
  }
}
