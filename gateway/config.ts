import { z } from 'zod'
import {
  boolean,
  duration,
  type Env,
  integer,
  list,
  parseEnv,
  refuse,
  together,
} from '#runtime/env.ts'
import {
  doorOf,
  doorProblems,
  jwtEnv,
  jwtOf,
  nodeIdOf,
  postgresUrl,
  processEnv,
  redisUrls,
  webUrl,
} from '#runtime/process-env.ts'
import type { AuthConfig } from './auth/auth.ts'
import type { LimitsConfig } from './limits/limits.ts'

/** What names the servers of the real mode: all of them or none. */
export const serverVariables = ['KAFKA_BROKERS', 'REDIS_URL', 'DATABASE_URL'] as const

export interface Servers {
  kafkaBrokers: string[]
  redisUrls: string[]
  databaseUrl: string
}

/** Times in milliseconds, sizes in bytes. */
export interface GatewayConfig {
  port: number
  host: string
  nodeId: string
  /** null: embedded. */
  servers: Servers | null
  dataDir: string
  auth: AuthConfig
  allowedOrigins: string[]
  isProxyTrusted: boolean
  limits: LimitsConfig
  model: ModelConfig
  chat: ChatConfig
  heartbeatMs: number
  drainTimeoutMs: number
  resumeTtlMs: number
  historyTtlMs: number
  outboxMaxEvents: number
  outboxMaxBytes: number
}

export interface ModelConfig {
  /** null: the demo model. */
  openai: { baseUrl: string; apiKey: string | null } | null
  /** The one that is used when a question names none; always in `names`. */
  name: string
  names: string[]
  systemPrompt: string | null
  isSystemPromptAllowed: boolean
  upstreamIdleMs: number
}

export interface ChatConfig {
  maxContentBytes: number
  maxAnswerBytes: number
  eventContent: 'full' | 'none'
  chunkEventMs: number
  generationTimeoutMs: number
  onAbandon: 'continue' | 'grace' | 'cancel'
  abandonGraceMs: number
  contextMessages: number
  contextBytes: number
}

// A timer takes no more than 2^31 - 1 ms; a day is more than anything here is good for.
const dayMs = 86_400_000
const milliseconds = (min = 1) => integer(min, dayMs)
const limit = () => integer(0, 1_000_000)
// An event holds the whole text, perhaps twice (its parts), escaped: 1 MiB stays below the 4 MiB of a record.
const textBytesMax = 1_048_576
const ttlMs = { min: 1_000, max: 365 * dayMs }

function ttl() {
  return duration().refine((ms) => ms >= ttlMs.min && ms <= ttlMs.max, {
    error: 'must be from 1s to 365d',
  })
}

const broker = /^(\[[0-9a-fA-F:]+\]|[^\s:/,]+):\d{1,5}$/
const name = () => z.string().max(200, 'must be at most 200 characters long')

/** Every variable of a gateway. */
export const GatewayEnv = z.object({
  ...processEnv,
  ...jwtEnv,
  PORT: integer(0, 65_535).default(8_080),
  KAFKA_BROKERS: list()
    .refine((brokers) => brokers.length > 0 && brokers.every((member) => broker.test(member)), {
      error: 'must be a list of host:port, such as kafka1:9092,kafka2:9092',
    })
    .optional(),
  REDIS_URL: redisUrls().optional(),
  DATABASE_URL: postgresUrl().optional(),
  DATA_DIR: z.string().default('.sluice'),
  OPENAI_BASE_URL: webUrl().optional(),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_MODEL: name().optional(),
  MODELS: list()
    .refine((names) => names.length > 0 && names.every((member) => member.length <= 200), {
      error: 'must be a list of names, each at most 200 characters long',
    })
    .optional(),
  SYSTEM_PROMPT: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= 32_768, { error: 'must be at most 32768 bytes' })
    .optional(),
  ALLOW_SYSTEM_PROMPT: boolean().default(false),
  ALLOWED_ORIGINS: list()
    .refine((origins) => origins.every(isOrigin), {
      error: 'must be a list of origins, such as https://chat.example.com',
    })
    .default([]),
  TRUST_PROXY: boolean().default(false),
  EVENT_CONTENT: z.enum(['full', 'none']).default('full'),
  CHUNK_EVENT_MS: integer(0, 60_000).default(1_000),
  MAX_CONTENT_BYTES: integer(1, textBytesMax).default(32_768),
  MAX_ANSWER_BYTES: integer(1, textBytesMax).default(524_288),
  CONTEXT_MESSAGES: integer(0, 50).default(20),
  CONTEXT_BYTES: integer(0, textBytesMax).default(32_768),
  RATE_CHATS_PER_MINUTE: limit().default(60),
  RATE_REQUESTS_PER_MINUTE: limit().default(600),
  MAX_GENERATIONS_PER_USER: limit().default(10),
  MAX_CONNECTIONS_PER_USER: limit().default(20),
  MAX_CONNECTIONS: limit().default(20_000),
  GENERATION_TIMEOUT_MS: milliseconds().default(600_000),
  UPSTREAM_IDLE_MS: milliseconds().default(120_000),
  HEARTBEAT_MS: milliseconds(50).default(25_000),
  DRAIN_TIMEOUT_MS: milliseconds(0).default(30_000),
  ON_ABANDON: z.enum(['continue', 'grace', 'cancel']).default('continue'),
  ABANDON_GRACE_MS: milliseconds(0).default(120_000),
  RESUME_TTL: ttl().default(600_000),
  HISTORY_TTL: ttl().default(3_600_000),
  OUTBOX_MAX_EVENTS: integer(1).default(2_000_000),
  OUTBOX_MAX_BYTES: integer(1).default(1_073_741_824),
})

/**
 * A gateway's configuration from its environment. `hostName` is the node's name when `NODE_ID` is unset.
 * Throws a `ConfigError` that names every problem, those between variables included.
 */
export function gatewayConfig(env: Env, hostName: string): GatewayConfig {
  const { set } = together({
    set: () => parseEnv(GatewayEnv, env),
    between: () => refuse(problemsBetween(env)),
  })
  const { mode, host } = doorOf(env)
  return {
    port: set.PORT,
    host,
    nodeId: nodeIdOf(set.NODE_ID, hostName),
    servers: serversOf(set),
    dataDir: set.DATA_DIR,
    auth: { mode, ...jwtOf(set) },
    allowedOrigins: set.ALLOWED_ORIGINS,
    isProxyTrusted: set.TRUST_PROXY,
    limits: {
      chatsPerMinute: set.RATE_CHATS_PER_MINUTE,
      requestsPerMinute: set.RATE_REQUESTS_PER_MINUTE,
      generationsPerUser: set.MAX_GENERATIONS_PER_USER,
      connectionsPerUser: set.MAX_CONNECTIONS_PER_USER,
      connections: set.MAX_CONNECTIONS,
    },
    model: modelOf(set),
    chat: {
      maxContentBytes: set.MAX_CONTENT_BYTES,
      maxAnswerBytes: set.MAX_ANSWER_BYTES,
      eventContent: set.EVENT_CONTENT,
      chunkEventMs: set.CHUNK_EVENT_MS,
      generationTimeoutMs: set.GENERATION_TIMEOUT_MS,
      onAbandon: set.ON_ABANDON,
      abandonGraceMs: set.ABANDON_GRACE_MS,
      contextMessages: set.CONTEXT_MESSAGES,
      contextBytes: set.CONTEXT_BYTES,
    },
    heartbeatMs: set.HEARTBEAT_MS,
    drainTimeoutMs: set.DRAIN_TIMEOUT_MS,
    resumeTtlMs: set.RESUME_TTL,
    historyTtlMs: set.HISTORY_TTL,
    outboxMaxEvents: set.OUTBOX_MAX_EVENTS,
    outboxMaxBytes: set.OUTBOX_MAX_BYTES,
  }
}

/** What no single variable can be blamed for. On the raw environment, so that it is said beside the fields' problems. */
function problemsBetween(env: Env): string[] {
  const problems: string[] = []
  const missing = serverVariables.filter((variable) => !env[variable])
  if (missing.length < serverVariables.length) {
    for (const variable of missing) {
      problems.push(
        `${variable}: must be set, as ${serverVariables.join(', ')} are all set or none is`,
      )
    }
  }
  return [...problems, ...doorProblems(env)]
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text
}

function serversOf(set: z.infer<typeof GatewayEnv>): Servers | null {
  const { KAFKA_BROKERS, REDIS_URL, DATABASE_URL } = set
  return KAFKA_BROKERS && REDIS_URL && DATABASE_URL
    ? { kafkaBrokers: KAFKA_BROKERS, redisUrls: REDIS_URL, databaseUrl: DATABASE_URL }
    : null
}

function modelOf(set: z.infer<typeof GatewayEnv>): ModelConfig {
  const listed = set.MODELS ?? []
  const name =
    set.OPENAI_MODEL ?? listed[0] ?? (set.OPENAI_BASE_URL === undefined ? 'demo' : 'gpt-4o-mini')
  return {
    openai:
      set.OPENAI_BASE_URL === undefined
        ? null
        : { baseUrl: set.OPENAI_BASE_URL, apiKey: set.OPENAI_API_KEY ?? null },
    name,
    names: [...new Set([name, ...listed])],
    systemPrompt: set.SYSTEM_PROMPT ?? null,
    isSystemPromptAllowed: set.ALLOW_SYSTEM_PROMPT,
    upstreamIdleMs: set.UPSTREAM_IDLE_MS,
  }
}
