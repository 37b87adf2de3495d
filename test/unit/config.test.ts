import { describe, expect, test } from 'bun:test'
import { GatewayEnv, gatewayConfig } from '#gateway/config.ts'
import { realConfig } from '#gateway/real/config.ts'
import { ConfigError, type Env } from '#runtime/env.ts'

const config = (env: Env = {}) => gatewayConfig(env, 'host-1')

function problems(env: Env): readonly string[] {
  try {
    config(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

const secret = 'x'.repeat(32)
const servers = {
  KAFKA_BROKERS: 'k1:9092,k2:9092',
  REDIS_URL: 'redis://127.0.0.1:6379',
  DATABASE_URL: 'postgres://u:p@db/sluice',
}

/** A bad value of every variable that can have one. */
const bad: Record<string, string[]> = {
  PORT: ['x', '-1', '65536', '80.5', '0x50'],
  HOST: ['a b', 'http://x', 'a/b'],
  NODE_ID: ['a b', 'n'.repeat(129), 'ö'],
  KAFKA_BROKERS: ['kafka', 'kafka:port', ',', 'http://k:1'],
  REDIS_URL: ['localhost:6379', 'http://r', ','],
  DATABASE_URL: ['db', 'mysql://db/x', 'http://db'],
  AUTH: ['none', 'JWT', 'true'],
  JWT_SECRET: ['short', 'x'.repeat(31)],
  JWKS_URL: ['keys', 'ftp://keys'],
  OPENAI_BASE_URL: ['upstream', 'ftp://x/v1'],
  OPENAI_MODEL: ['m'.repeat(201)],
  MODELS: [',', ' , '],
  SYSTEM_PROMPT: ['p'.repeat(32_769)],
  ALLOW_SYSTEM_PROMPT: ['yes', '1', 'TRUE'],
  ALLOWED_ORIGINS: [
    '*',
    'chat.example.com',
    'https://a.example/',
    'https://a.example/path',
    'null',
  ],
  TRUST_PROXY: ['1', 'on'],
  EVENT_CONTENT: ['some', 'FULL'],
  CHUNK_EVENT_MS: ['-1', '1s', '60001'],
  MAX_CONTENT_BYTES: ['0', '32k', '1048577'],
  MAX_ANSWER_BYTES: ['0', '1e6', '1048577'],
  CONTEXT_MESSAGES: ['-1', '51'],
  CONTEXT_BYTES: ['-1', 'all'],
  RATE_CHATS_PER_MINUTE: ['-1', 'none'],
  RATE_REQUESTS_PER_MINUTE: ['-1', '6.5'],
  MAX_GENERATIONS_PER_USER: ['-1', ' '],
  MAX_CONNECTIONS_PER_USER: ['-1', 'x'],
  MAX_CONNECTIONS: ['-1', '1_000'],
  GENERATION_TIMEOUT_MS: ['0', '10m', '86400001'],
  UPSTREAM_IDLE_MS: ['0', 'x'],
  HEARTBEAT_MS: ['0', '-1', '49'],
  DRAIN_TIMEOUT_MS: ['-1', '30s'],
  ON_ABANDON: ['stop', 'Cancel'],
  ABANDON_GRACE_MS: ['-1', '2m'],
  RESUME_TTL: ['600000', '10', '0s', '366d', 'm'],
  HISTORY_TTL: ['1hour', '999ms'],
  OUTBOX_MAX_EVENTS: ['0', '-5'],
  OUTBOX_MAX_BYTES: ['0', '1GB'],
}

/** Any text is a good one. */
const free = ['DATA_DIR', 'JWT_ISSUER', 'JWT_AUDIENCE', 'OPENAI_API_KEY']

describe('a bad value', () => {
  test('every variable is either tried below or takes any text', () => {
    expect([...Object.keys(bad), ...free].sort()).toEqual(Object.keys(GatewayEnv.shape).sort())
  })

  for (const [variable, values] of Object.entries(bad)) {
    test(`of ${variable} is refused by name`, () => {
      for (const value of values) {
        const own = problems({ [variable]: value }).filter((line) =>
          line.startsWith(`${variable}:`),
        )
        expect({ value, count: own.length }).toEqual({ value, count: 1 })
      }
    })
  }

  test('is told with all others, each on a line of its own', () => {
    const found = problems({ PORT: 'x', HEARTBEAT_MS: '0', AUTH: 'jwt', REDIS_URL: 'redis://r' })
    expect(found.map((line) => line.slice(0, line.indexOf(':'))).sort()).toEqual([
      'DATABASE_URL',
      'HEARTBEAT_MS',
      'JWT_SECRET',
      'KAFKA_BROKERS',
      'PORT',
    ])
    expect(found.every((line) => !line.includes('\n'))).toBe(true)
  })

  test('never repeats a secret', () => {
    expect(problems({ JWT_SECRET: 'hunter2' }).join()).not.toContain('hunter2')
  })

  test('with one of our prefixes, a name that is not ours is refused', () => {
    for (const name of ['RATE_LIMIT', 'MAX_CONECTIONS', 'OUTBOX_SIZE', 'NOTIFY_URL']) {
      expect(problems({ [name]: '1' })).toEqual([`${name}: no such variable`])
    }
  })

  test('names of other processes are no problem', () => {
    const names = ['KAFKA_SASL_USERNAME', 'KAFKA_SSL_CA', 'KAFKA_CLIENT_ID', 'NOTIFY_WEBHOOK_URL']
    expect(problems(Object.fromEntries(names.map((name) => [name, 'x'])))).toEqual([])
  })
})

describe('the mode', () => {
  test('is embedded without servers', () => {
    expect(config().servers).toBeNull()
    expect(config({ REDIS_URL: '' }).servers).toBeNull()
  })

  test('is real with all three servers', () => {
    expect(config(servers).servers).toEqual({
      kafkaBrokers: ['k1:9092', 'k2:9092'],
      redisUrls: ['redis://127.0.0.1:6379'],
      databaseUrl: 'postgres://u:p@db/sluice',
    })
  })

  test('is neither with some of them: each that is missing is named', () => {
    for (const variable of Object.keys(servers)) {
      const found = problems({ ...servers, [variable]: undefined })
      expect(found).toHaveLength(1)
      expect(found[0]).toStartWith(`${variable}: must be set`)
    }
  })
})

describe('of a gateway on real servers', () => {
  test('is that of any gateway, with all three servers', () => {
    expect(realConfig(servers, 'host-1')).toEqual({
      ...config(servers),
      servers: {
        kafkaBrokers: ['k1:9092', 'k2:9092'],
        redisUrls: ['redis://127.0.0.1:6379'],
        databaseUrl: 'postgres://u:p@db/sluice',
      },
    })
  })

  test('names all that is missing, with every other problem and telemetry’s', () => {
    let found: readonly string[] = []
    try {
      realConfig({ PORT: 'x', OTEL_METRICS_EXPORTER: 'x' }, 'host-1')
    } catch (error) {
      if (error instanceof ConfigError) found = error.problems
    }
    expect(found.map((line) => line.slice(0, line.indexOf(':'))).toSorted()).toEqual([
      'DATABASE_URL',
      'KAFKA_BROKERS',
      'OTEL_METRICS_EXPORTER',
      'PORT',
      'REDIS_URL',
    ])
  })
})

describe('the door', () => {
  test('is open, on loopback, when nothing is said', () => {
    const { auth, host } = config()
    expect({ mode: auth.mode, host }).toEqual({ mode: 'development', host: '127.0.0.1' })
  })

  test('asks for tokens on any address that is not loopback', () => {
    const { auth, host } = config({ HOST: '0.0.0.0', JWT_SECRET: secret })
    expect({ mode: auth.mode, host }).toEqual({ mode: 'jwt', host: '0.0.0.0' })
    expect(problems({ HOST: '0.0.0.0' })).toEqual([
      'JWT_SECRET: must be set (or JWKS_URL) when AUTH is jwt',
    ])
  })

  test('with tokens it is open to all addresses', () => {
    expect(config({ AUTH: 'jwt', JWT_SECRET: secret }).host).toBe('0.0.0.0')
    expect(config({ AUTH: 'jwt', JWKS_URL: 'https://id.example/keys' }).auth.mode).toBe('jwt')
  })

  test('may be open on every loopback address and on no other', () => {
    for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '::1']) {
      expect(config({ HOST: host }).auth.mode).toBe('development')
      expect(problems({ HOST: host, AUTH: 'development' })).toEqual([])
    }
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'chat.example.com', '127.evil.example']) {
      const found = problems({ HOST: host, AUTH: 'development' })
      expect(found).toHaveLength(1)
      expect(found[0]).toStartWith('AUTH: development is refused')
    }
  })
})

describe('the model', () => {
  test('is the demo without a base URL', () => {
    const { model } = config({ OPENAI_API_KEY: 'k' })
    expect([model.openai, model.name, model.names]).toEqual([null, 'demo', ['demo']])
  })

  test('that is used by default is always among those that may be asked for', () => {
    const base = { OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' }
    expect(config({ ...base, OPENAI_MODEL: 'a', MODELS: 'b, c' }).model.names).toEqual([
      'a',
      'b',
      'c',
    ])
    expect(config({ ...base, OPENAI_MODEL: 'b', MODELS: 'a,b' }).model).toMatchObject({
      name: 'b',
      names: ['b', 'a'],
    })
    expect(config({ ...base, MODELS: 'b,c' }).model.name).toBe('b')
  })
})

test('values are read with their units, and 0 is no limit', () => {
  const read = config({
    RESUME_TTL: '90s',
    HISTORY_TTL: '2d',
    RATE_CHATS_PER_MINUTE: '0',
    ALLOWED_ORIGINS: 'https://a.example, http://localhost:3000',
    TRUST_PROXY: 'true',
  })
  expect(read).toMatchObject({
    resumeTtlMs: 90_000,
    historyTtlMs: 172_800_000,
    allowedOrigins: ['https://a.example', 'http://localhost:3000'],
    isProxyTrusted: true,
  })
  expect(read.limits.chatsPerMinute).toBe(0)
})

test('the defaults are those of the documentation', () => {
  expect(config()).toMatchObject({
    port: 8_080,
    nodeId: 'host-1',
    dataDir: '.sluice',
    isProxyTrusted: false,
    limits: {
      chatsPerMinute: 60,
      requestsPerMinute: 600,
      generationsPerUser: 10,
      connectionsPerUser: 20,
      connections: 20_000,
    },
    chat: {
      maxContentBytes: 32_768,
      maxAnswerBytes: 524_288,
      eventContent: 'full',
      chunkEventMs: 1_000,
      generationTimeoutMs: 600_000,
      onAbandon: 'continue',
      abandonGraceMs: 120_000,
      contextMessages: 20,
      contextBytes: 32_768,
    },
    heartbeatMs: 25_000,
    drainTimeoutMs: 30_000,
    resumeTtlMs: 600_000,
    historyTtlMs: 3_600_000,
    outboxMaxEvents: 2_000_000,
    outboxMaxBytes: 1_073_741_824,
  })
})
