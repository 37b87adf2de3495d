import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensurePackages } from '#cli/setup/debian.ts'
import { run } from '#cli/setup/run.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const version = '4.4.0'
const startMs = 60_000

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sluice.test</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

/** One combined node of Apache Kafka with its own ports and data. */
export interface Broker {
  /** `host:port`; stays the same. */
  readonly address: string
  readonly pid: number | null
  /** With the data of before. Resolves once it takes connections. */
  start(): Promise<void>
  /** At once, whatever it had not written. */
  kill(): Promise<void>
  pause(): void
  resume(): void
  /** Ends it and takes its data away. */
  release(): Promise<void>
}

/** Apache Kafka's jars, got by Maven into a folder that stays. Throws the line that gets what is missing. */
export async function kafkaLibs(say: (line: string) => void = () => undefined): Promise<string> {
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'sluice')
  const libs = join(cache, `kafka-${version}`)
  const env = process.env
  await ensurePackages({
    what: 'The Java that Kafka runs in is',
    packages: ['openjdk-17-jre-headless'],
    isThere: () => Bun.which('java') !== null,
    env,
    say,
  })
  if (existsSync(libs)) return libs
  await ensurePackages({
    what: 'The Maven that gets Kafka is',
    packages: ['maven'],
    isThere: () => Bun.which('mvn') !== null,
    env,
    say,
  })
  say(`Getting Apache Kafka ${version}…`)
  const folder = mkdtempSync(join(tmpdir(), 'sluice-maven-'))
  try {
    await Bun.write(join(folder, 'pom.xml'), pom)
    const goal = [
      'dependency:copy-dependencies',
      '-DoutputDirectory=libs',
      '-DincludeScope=runtime',
    ]
    await run(['mvn', '-q', '-B', ...goal], { cwd: folder })
    mkdirSync(cache, { recursive: true })
    const partly = `${libs}.${process.pid}`
    cpSync(join(folder, 'libs'), partly, { recursive: true })
    if (existsSync(libs)) rmSync(partly, { recursive: true })
    else renameSync(partly, libs)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return libs
}

/** Starts a broker of one's own; `release` it. */
export async function startBroker(say?: (line: string) => void): Promise<Broker> {
  const libs = join(await kafkaLibs(say), '*')
  const folder = mkdtempSync(join(tmpdir(), 'sluice-kafka-broker-'))
  const [port, controllerPort] = [await freePort(), await freePort()]
  const address = `127.0.0.1:${port}`
  const properties = join(folder, 'server.properties')
  const logged = join(folder, 'out')
  await Bun.write(properties, propertiesOf(folder, port, controllerPort))
  const random = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64url')
  // Else it would be taken for an option.
  const id = random.replace(/^-/, 'A')
  const format = ['kafka.tools.StorageTool', 'format', '-t', id, '-c', properties]
  await run(['java', '-XX:TieredStopAtLevel=1', '-cp', libs, ...format])
  let child: Bun.Subprocess | null = null

  async function start(): Promise<void> {
    // What it unpacks goes with its folder: one that is killed would leave it behind.
    const flags = [
      '-Xmx512m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      `-Djava.io.tmpdir=${folder}`,
    ]
    const level = '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'
    const command = ['java', ...flags, level, '-cp', libs, 'kafka.Kafka', properties]
    const started = Bun.spawn(command, {
      stdin: 'ignore',
      stdout: Bun.file(logged),
      stderr: Bun.file(`${logged}.err`),
    })
    child = started
    const isUp = async () => {
      if (started.exitCode !== null) {
        throw new Error(`Kafka did not start:\n${await Bun.file(`${logged}.err`).text()}`)
      }
      return isListening(port)
    }
    await until(isUp, { timeoutMs: startMs, everyMs: 50, what: `Kafka on ${address}` })
  }

  async function kill(): Promise<void> {
    child?.kill('SIGKILL')
    await child?.exited
    child = null
  }

  await start()
  return {
    address,
    get pid() {
      return child?.pid ?? null
    },
    start,
    kill,
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
    async release() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The broker of a whole run: the one that is named, else one of our own until `release`. */
export async function kafka(say?: (line: string) => void): Promise<{
  env: Record<string, string>
  release(): Promise<void>
}> {
  const named = process.env['SLUICE_TEST_KAFKA']
  if (named) return { env: { SLUICE_TEST_KAFKA: named }, release: () => Promise.resolve() }
  const broker = await startBroker(say)
  return { env: { SLUICE_TEST_KAFKA: broker.address }, release: broker.release }
}

function propertiesOf(folder: string, port: number, controllerPort: number): string {
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'auto.create.topics.enable': false,
  })
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')
}

async function isListening(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({
      hostname: '127.0.0.1',
      port,
      socket: { data: () => undefined },
    })
    socket.end()
    return true
  } catch {
    return false
  }
}
