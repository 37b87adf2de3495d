import { z } from 'zod'
import { boolean, ConfigError, type Env, list, parseEnv } from '#runtime/env.ts'

/** How to reach Kafka. */
export interface KafkaConfig {
  /** `host:port`. */
  brokers: string[]
  clientId: string
  sasl?: { mechanism: SaslMechanism; username: string; password: string }
  /** Paths of PEM files; without `ca` the system's authorities are trusted. */
  ssl?: { ca?: string; certificate?: string; key?: string; keyPassword?: string; verify: boolean }
  /** Static membership: a member that comes back under this name gets its partitions again. */
  groupInstanceId?: string
}

const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const
type SaslMechanism = (typeof mechanisms)[number]

const brokerPattern = /^(\[[0-9a-fA-F:]+\]|[^\s:,/@]+):(\d{1,5})$/

const brokers = list().transform((members, context): string[] => {
  const bad = members.find((member) => {
    const port = Number(brokerPattern.exec(member)?.[2] ?? 0)
    return port < 1 || port > 65_535
  })
  if (members.length > 0 && bad === undefined) return members
  context.addIssue(
    bad === undefined ? 'must name a broker' : 'must be host:port, more than one with commas',
  )
  return z.NEVER
})

const shape = {
  KAFKA_BROKERS: brokers,
  KAFKA_CLIENT_ID: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,128}$/, 'must be 1 to 128 of A-Z a-z 0-9 . _ -')
    .default('sluice'),
  KAFKA_SASL_MECHANISM: z.enum(mechanisms).optional(),
  KAFKA_SASL_USERNAME: z.string().optional(),
  KAFKA_SASL_PASSWORD: z.string().optional(),
  KAFKA_SSL_ENABLED: boolean().optional(),
  KAFKA_SSL_CA: z.string().optional(),
  KAFKA_SSL_CERTIFICATE: z.string().optional(),
  KAFKA_SSL_KEY: z.string().optional(),
  KAFKA_SSL_KEY_PASSWORD: z.string().optional(),
  KAFKA_SSL_VERIFY: boolean().optional(),
  GROUP_INSTANCE_ID: z.string().max(249).optional(),
}

/** Every variable of the Kafka client. */
export const KafkaEnv = z.object(shape)

/** Reads `KAFKA_*` and `GROUP_INSTANCE_ID`. Throws a `ConfigError` that names every bad variable. */
export function kafkaConfig(env: Env): KafkaConfig {
  const problems = Object.keys(env)
    .filter((name) => /^KAFKA_/.test(name) && env[name] !== '' && !(name in shape))
    .map((name) => `${name}: no such variable`)
  let parsed: z.infer<typeof KafkaEnv> | null = null
  try {
    parsed = parseEnv(KafkaEnv, env)
    problems.push(...togetherProblems(parsed))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    problems.push(...error.problems)
  }
  if (problems.length > 0 || parsed === null) throw new ConfigError(problems)
  return configOf(parsed)
}

/** What is right by itself and not together. */
function togetherProblems(env: z.infer<typeof KafkaEnv>): string[] {
  const problems: string[] = []
  const sasl = ['KAFKA_SASL_MECHANISM', 'KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD'] as const
  const isSasl = sasl.some((name) => env[name] !== undefined)
  for (const name of sasl) {
    if (isSasl && env[name] === undefined)
      problems.push(`${name}: must be set, for another of KAFKA_SASL_* is`)
  }
  if ((env.KAFKA_SSL_CERTIFICATE === undefined) !== (env.KAFKA_SSL_KEY === undefined)) {
    problems.push('KAFKA_SSL_CERTIFICATE, KAFKA_SSL_KEY: both or none')
  }
  if (env.KAFKA_SSL_KEY_PASSWORD !== undefined && env.KAFKA_SSL_KEY === undefined) {
    problems.push('KAFKA_SSL_KEY_PASSWORD: there is no KAFKA_SSL_KEY')
  }
  if (env.KAFKA_SSL_ENABLED === false && isSslNamed(env)) {
    problems.push('KAFKA_SSL_ENABLED: is false, but other KAFKA_SSL_ variables are set')
  }
  return problems
}

function isSslNamed(env: z.infer<typeof KafkaEnv>): boolean {
  return (
    env.KAFKA_SSL_CA !== undefined ||
    env.KAFKA_SSL_CERTIFICATE !== undefined ||
    env.KAFKA_SSL_VERIFY !== undefined
  )
}

function configOf(env: z.infer<typeof KafkaEnv>): KafkaConfig {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username } = env
  const password = env.KAFKA_SASL_PASSWORD
  return {
    brokers: env.KAFKA_BROKERS,
    clientId: env.KAFKA_CLIENT_ID,
    ...(mechanism !== undefined &&
      username !== undefined &&
      password !== undefined && { sasl: { mechanism, username, password } }),
    ...((env.KAFKA_SSL_ENABLED === true || isSslNamed(env)) && {
      ssl: {
        verify: env.KAFKA_SSL_VERIFY ?? true,
        ...(env.KAFKA_SSL_CA !== undefined && { ca: env.KAFKA_SSL_CA }),
        ...(env.KAFKA_SSL_CERTIFICATE !== undefined && { certificate: env.KAFKA_SSL_CERTIFICATE }),
        ...(env.KAFKA_SSL_KEY !== undefined && { key: env.KAFKA_SSL_KEY }),
        ...(env.KAFKA_SSL_KEY_PASSWORD !== undefined && {
          keyPassword: env.KAFKA_SSL_KEY_PASSWORD,
        }),
      },
    }),
    ...(env.GROUP_INSTANCE_ID !== undefined && { groupInstanceId: env.GROUP_INSTANCE_ID }),
  }
}
