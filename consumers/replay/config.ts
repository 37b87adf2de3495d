import { z } from 'zod'
import { type Env, parseEnv, refuse, together } from '#runtime/env.ts'
import type { JwtConfig } from '#runtime/jwt.ts'
import { doorOf, doorProblems, jwtEnv, jwtOf } from '#runtime/process-env.ts'
import { type ConsumerConfig, consumerConfig } from '../config.ts'

export interface ReplayConfig extends ConsumerConfig {
  port: number
  /** `development`: without a token one is who one says, else `demo_user` with all roles. */
  mode: 'development' | 'jwt'
  jwt: JwtConfig
}

const portDefault = 8_090
/** What it reads beyond every consumer's variables. */
export const ReplayEnv = z.object(jwtEnv)

/** Throws a `ConfigError` with every problem. */
export function replayConfig(env: Env, hostName: string): ReplayConfig {
  const { common, own } = together({
    door: () => refuse(doorProblems(env)),
    common: () => consumerConfig(env, hostName),
    own: () => parseEnv(ReplayEnv, env),
  })
  const { mode } = doorOf(env)
  return { ...common, port: common.port ?? portDefault, mode, jwt: jwtOf(own) }
}
