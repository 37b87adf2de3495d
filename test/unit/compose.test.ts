import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConsumerEnv, consumerConfig } from '#consumers/config.ts'
import { NotifyEnv, notifyConfig } from '#consumers/notify/config.ts'
import { ReplayEnv, replayConfig } from '#consumers/replay/config.ts'
import { KafkaEnv, kafkaConfig } from '#eventlog/kafka/config.ts'
import { GatewayEnv } from '#gateway/config.ts'
import { realConfig } from '#gateway/real/config.ts'
import { relayConfig } from '#gateway/relay/config.ts'
import { TelemetryEnv, telemetryConfig } from '#runtime/telemetry.ts'

// There is a server for none of this in a unit test: what can be known of the files without one.
interface Service {
  image: string
  build?: { context: string; target: string }
  command?: string[]
  environment?: Record<string, string>
  env_file?: { path: string; required: boolean }[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: unknown
  stop_grace_period?: string
  restart?: string
  volumes?: string[]
  deploy?: { replicas: number }
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const text = (path: string) => Bun.file(join(root, path)).text()
const compose = Bun.YAML.parse(await text('compose.yaml')) as {
  services: Record<string, Service>
  volumes: Record<string, unknown>
}
const services = Object.entries(compose.services)
const ours = services.filter(([, { build }]) => build !== undefined)
const dockerfile = await text('Dockerfile')
const proxy = await text('deploy/haproxy.cfg')
const { scripts, packageManager } = JSON.parse(await text('package.json')) as {
  scripts: Record<string, string>
  packageManager: string
}
const secrets = { JWT_SECRET: 'a secret of at least thirty-two bytes', POSTGRES_PASSWORD: 'pass' }

/** As compose puts variables in; throws as it refuses to start. */
function filledIn(value: string, env: Record<string, string>): string {
  return value.replace(/\$\{(\w+)(:[-?])?([^}]*)\}/g, (_, name: string, how, rest: string) => {
    const set = env[name] ?? ''
    if (set === '' && how === ':?') throw new Error(`${name} ${rest}`)
    return set === '' ? rest : set
  })
}

function envOf(name: string, env: Record<string, string> = secrets): Record<string, string> {
  return Object.fromEntries(
    Object.entries(compose.services[name]?.environment ?? {}).map(([variable, value]) => [
      variable,
      filledIn(value, env),
    ]),
  )
}

const scriptOf = ({ command = [] }: Service) => command[2] ?? ''

test('every process of the full mode is there, and each runs a script of package.json', async () => {
  expect(ours.map(([, service]) => scriptOf(service)).toSorted()).toEqual([
    'consumer:analytics',
    'consumer:audit',
    'consumer:history',
    'consumer:notify',
    'consumer:replay',
    'db:migrate',
    'gateway',
    'relay',
    'topics',
  ])
  for (const [, service] of ours) {
    expect(service.command?.slice(0, 2)).toEqual(['bun', 'run'])
    const path = /(\S+\.ts)$/.exec(scripts[scriptOf(service)] ?? '')?.[1] ?? 'no script'
    expect([path, existsSync(join(root, path))]).toEqual([path, true])
  }
  expect(compose.services['gateway']?.deploy).toEqual({ replicas: 2 })
})

describe('its environment', () => {
  const known = new Set(
    [GatewayEnv, KafkaEnv, ConsumerEnv, NotifyEnv, ReplayEnv, TelemetryEnv].flatMap((schema) =>
      Object.keys(schema.shape),
    ),
  )
  test.each(ours)('of %s has only variables that are ours', (name) => {
    expect(Object.keys(envOf(name)).filter((variable) => !known.has(variable))).toEqual([])
  })

  test('starts every process, with a file .env that is a copy of .env.example, too', async () => {
    const example = Object.fromEntries(
      [...(await text('.env.example')).matchAll(/^([A-Z_]+)=(.*)$/gm)].map(
        ([, variable = '', value = '']) => [variable, value],
      ),
    )
    for (const before of [{}, example]) {
      const env = (name: string) => ({ ...before, ...envOf(name) })
      const gateway = realConfig(env('gateway'), 'node')
      expect(gateway).toMatchObject({
        ...{ host: '0.0.0.0', port: 8080, nodeId: 'node', isProxyTrusted: true },
        auth: { mode: 'jwt', secret: secrets.JWT_SECRET },
      })
      expect(replayConfig(env('replay'), 'node')).toMatchObject({
        ...{ host: '0.0.0.0', port: 8090, mode: 'jwt', jwt: { secret: secrets.JWT_SECRET } },
      })
      expect(relayConfig(env('relay'), 'node')).toMatchObject({ host: '127.0.0.1', port: 8090 })
      for (const name of ['audit', 'analytics', 'history']) {
        expect(consumerConfig(env(name), 'node')).toMatchObject({ host: '127.0.0.1', port: 8090 })
      }
      const hook = { NOTIFY_WEBHOOK_URL: 'https://hooks.example.com/' }
      expect(() => notifyConfig({ ...env('notify'), ...hook }, 'node')).not.toThrow()
      for (const [name] of ours) {
        expect(kafkaConfig(env(name)).brokers).toEqual(['kafka:9092'])
        expect(() => telemetryConfig(env(name))).not.toThrow()
      }
    }
  })

  test.each(['JWT_SECRET', 'POSTGRES_PASSWORD'])('needs %s', (name) => {
    expect(() => envOf('gateway', { ...secrets, [name]: '' })).toThrow(name)
  })
})

test('what waits for another waits for one that is there and says so', () => {
  const withHealth = new Set(
    services.filter(([, { healthcheck }]) => healthcheck !== undefined).map(([name]) => name),
  )
  for (const [name, { build }] of ours) {
    const stage = dockerfile.split(new RegExp(`^FROM .* AS ${build?.target}$`, 'm'))[1] ?? ''
    if (/^HEALTHCHECK /m.test(stage.split(/^FROM /m)[0] ?? '')) withHealth.add(name)
  }
  const jobs = new Set(['topics', 'migrations'])
  for (const [name, { depends_on: needs = {} }] of services) {
    for (const [other, { condition }] of Object.entries(needs)) {
      const isMet =
        condition === 'service_healthy'
          ? withHealth.has(other) && !jobs.has(other)
          : condition === 'service_completed_successfully' && jobs.has(other)
      expect([name, other, isMet]).toEqual([name, other, true])
    }
  }
})

test('what ends comes back, but jobs; and has the time that its drain takes', () => {
  const seconds = (service: Service) => Number.parseInt(service.stop_grace_period ?? '10s', 10)
  for (const [name, service] of services) {
    const isJob = ['topics', 'migrations'].includes(name)
    expect([name, service.restart]).toEqual([name, isJob ? 'on-failure' : 'unless-stopped'])
  }
  const { drainTimeoutMs } = realConfig(envOf('gateway'), 'node')
  for (const [name, service] of ours) {
    const drainS = name === 'gateway' ? drainTimeoutMs / 1_000 + 7 : 10
    expect(seconds(service)).toBeGreaterThan(drainS)
  }
})

test('images are pinned, by names of the default registry', () => {
  const images = services
    .filter(([, { build }]) => build === undefined)
    .map(([, { image }]) => image)
  const bases = [...dockerfile.matchAll(/^ARG \w+_IMAGE=(\S+)$/gm)].map(([, image = '']) => image)
  expect(bases).toHaveLength(2)
  for (const image of [...images, ...bases]) {
    expect(image).toMatch(/^([a-z-]+\/)?[a-z-]+:\d+(\.\d+){1,2}(-[a-z]+)?$/)
  }
  expect(bases[0]).toBe(`oven/${packageManager.replace('@', ':')}-slim`)
})

test('files, folders, targets and volumes that are named are there', () => {
  for (const [name, { volumes = [] }] of services) {
    for (const [source = ''] of volumes.map((volume) => volume.split(':'))) {
      const isThere = source.startsWith('./')
        ? existsSync(join(root, source))
        : Object.hasOwn(compose.volumes, source)
      expect([name, source, isThere]).toEqual([name, source, true])
    }
  }
  for (const [, { build }] of ours) {
    expect(dockerfile).toMatch(new RegExp(`^FROM .* AS ${build?.target}$`, 'm'))
  }
  const copied = [...dockerfile.matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(([, of = '']) =>
    of.split(' '),
  )
  expect(copied.length).toBeGreaterThan(5)
  for (const path of copied) expect([path, existsSync(join(root, path))]).toEqual([path, true])
})

test('the proxy and the collector listen where they are looked for', async () => {
  for (const name of ['gateway', 'replay']) {
    expect(proxy).toContain(` ${name}:${envOf(name)['PORT']}`)
  }
  const drainMs = Number(/timeout tunnel (\d+)s/.exec(proxy)?.[1]) * 1_000
  expect(drainMs).toBeGreaterThan(2 * realConfig(envOf('gateway'), 'node').heartbeatMs)
  const collector = Bun.YAML.parse(await text('deploy/otel-collector.yaml')) as {
    receivers: { otlp: { protocols: { http: { endpoint: string } } } }
  }
  const { endpoint } = collector.receivers.otlp.protocols.http
  const { port, hostname } = new URL(envOf('relay')['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '')
  expect(endpoint).toBe(`0.0.0.0:${port}`)
  expect(Object.keys(compose.services)).toContain(hostname)
})
