import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startSluice } from '../support/sluice-process.ts'
import { runSluice, type SluiceRun } from '../support/sluice-run.ts'
import { tempDir } from '../support/temp.ts'

const startMs = 5_000

/** One bad value of every variable that can have one. */
const bad: Record<string, string> = {
  PORT: 'http',
  HOST: 'http://host',
  NODE_ID: 'a node',
  KAFKA_BROKERS: 'kafka',
  REDIS_URL: 'localhost:6379',
  DATABASE_URL: 'mysql://db/sluice',
  AUTH: 'none',
  JWT_SECRET: 'short',
  JWKS_URL: 'keys',
  OPENAI_BASE_URL: 'api.example.com',
  OPENAI_MODEL: 'm'.repeat(201),
  MODELS: ',',
  SYSTEM_PROMPT: 'p'.repeat(32_769),
  ALLOW_SYSTEM_PROMPT: 'yes',
  ALLOWED_ORIGINS: '*',
  TRUST_PROXY: '1',
  EVENT_CONTENT: 'some',
  CHUNK_EVENT_MS: '1s',
  MAX_CONTENT_BYTES: '32k',
  MAX_ANSWER_BYTES: '1e6',
  CONTEXT_MESSAGES: '-1',
  CONTEXT_BYTES: 'all',
  RATE_CHATS_PER_MINUTE: 'none',
  RATE_REQUESTS_PER_MINUTE: '6.5',
  MAX_GENERATIONS_PER_USER: '-1',
  MAX_CONNECTIONS_PER_USER: '0x10',
  MAX_CONNECTIONS: '1_000',
  GENERATION_TIMEOUT_MS: '10m',
  UPSTREAM_IDLE_MS: '0',
  HEARTBEAT_MS: '-5',
  DRAIN_TIMEOUT_MS: '30s',
  ON_ABANDON: 'stop',
  ABANDON_GRACE_MS: '2m',
  RESUME_TTL: '600000',
  HISTORY_TTL: '1hour',
  OUTBOX_MAX_EVENTS: '0',
  OUTBOX_MAX_BYTES: '1GB',
  PARTITION_BY: 'week',
  AUDIT_RETENTION: 'forever',
  OTEL_SDK_DISABLED: 'no',
  OTEL_METRICS_EXPORTER: 'prometheus',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'collector',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
  OTEL_METRIC_EXPORT_INTERVAL: '1m',
}

/** What stopped the start, for its own reasons and in time, and left nothing behind. */
function expectRefusal(run: SluiceRun, ...lines: (string | RegExp)[]): void {
  expect({ exitCode: run.exitCode, stdout: run.stdout }).toEqual({ exitCode: 1, stdout: '' })
  expect(run.ms).toBeLessThan(startMs)
  expect(run.errors).toHaveLength(lines.length)
  for (const line of lines) {
    const isSaid = (error: string) =>
      typeof line === 'string' ? error.startsWith(line) : line.test(error)
    expect(run.errors.filter(isSaid), `${line} in ${run.errors.join('\n')}`).toHaveLength(1)
  }
}

describe('a start is refused', () => {
  test('with every problem at once, each named on a line of its own', async () => {
    const dataDir = join(tempDir(), 'data')
    const unknown = ['RATE_LIMIT', 'MAX_USERS', 'OUTBOX_SIZE', 'NOTIFY_URL']
    const run = await runSluice({
      DATA_DIR: dataDir,
      ...bad,
      ...Object.fromEntries(unknown.map((name) => [name, '1'])),
    })
    expectRefusal(run, ...[...Object.keys(bad), ...unknown].map((name) => `${name}: `))
    expect(existsSync(dataDir)).toBe(false)
  })

  test('without a secret being repeated', async () => {
    const run = await runSluice({
      DATA_DIR: tempDir(),
      AUTH: 'jwt',
      JWT_SECRET: 'too-short-secret',
    })
    expectRefusal(run, 'JWT_SECRET: ')
    expect(run.errors.join()).not.toContain('too-short-secret')
  })

  const together: Record<string, [env: Record<string, string>, ...lines: string[]]> = {
    'development on an address that others reach': [
      { AUTH: 'development', HOST: '0.0.0.0' },
      'AUTH: development is refused on HOST 0.0.0.0',
    ],
    'an address that others reach, without a way to know who they are': [
      { HOST: '0.0.0.0' },
      'JWT_SECRET: must be set',
    ],
    'some of the three servers: each that is missing is named': [
      { KAFKA_BROKERS: 'kafka:9092' },
      'REDIS_URL: must be set',
      'DATABASE_URL: must be set',
    ],
    'a misspelt limit beside a bad value': [
      { RATE_CHATS: '5', PORT: '-1' },
      'RATE_CHATS: ',
      'PORT: ',
    ],
  }
  for (const [what, [env, ...lines]] of Object.entries(together)) {
    test(`for ${what}`, async () => {
      expectRefusal(await runSluice({ DATA_DIR: tempDir(), ...env }), ...lines)
    })
  }

  test('where its folder can not be', async () => {
    const file = join(tempDir(), 'file')
    await Bun.write(file, 'a file')
    const run = await runSluice({ DATA_DIR: file })
    expectRefusal(run, `DATA_DIR ${file} `)
  })

  test('on a host that is none of this machine’s', async () => {
    const env = { HOST: 'nowhere.invalid', AUTH: 'jwt', JWT_SECRET: 's'.repeat(32) }
    expectRefusal(
      await runSluice({ DATA_DIR: tempDir(), ...env }),
      'HOST nowhere.invalid, PORT 0: ',
    )
  })
})

describe('while a process runs', () => {
  test('another on its folder, or on its port, exits 1 and says why; the first goes on', async () => {
    const dataDir = tempDir()
    await using first = await startSluice({ dataDir })
    const second = await runSluice({ DATA_DIR: dataDir })
    expectRefusal(second, /./)
    expect(second.errors[0]).toContain(dataDir)
    expect(second.errors[0]).toContain(String(first.pid))

    const { port } = new URL(first.url)
    expectRefusal(
      await runSluice({ DATA_DIR: tempDir(), PORT: port }),
      new RegExp(`PORT ${port}: .*in use`),
    )
    expect((await fetch(`${first.url}/health/live`)).status).toBe(200)
  })

  test('an empty value counts as unset', async () => {
    const empty = Object.fromEntries(Object.keys(bad).map((name) => [name, '']))
    await using sluice = await startSluice({ dataDir: tempDir(), env: { ...empty, PORT: '0' } })
    expect((await fetch(`${sluice.url}/health/live`)).status).toBe(200)
  })
})
