import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient } from 'redis'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { newTopic } from '#eventlog/kafka/topic-table.ts'
import { shardOf, shards } from '#events/murmur2.ts'
import { topics } from '#events/topics.ts'
import { headOf, outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { shardBases } from '#gateway/generations/redis/shards.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { quietLog } from '#runtime/log.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startBroker } from '../../test/support/kafka-broker.ts'
import { cpuSecondsOf, rssKbOf } from '../process.ts'
import { type Consumed, startConsumed } from './consumed.ts'

/** One wave of events through a relay, or (`wave` 0) as many records from the client by itself. CPU in µs an event. */
export type RelayRow = Record<string, string | number>

type Redis = Awaited<ReturnType<typeof connect>>

interface Parts {
  redis: Redis
  redisPid: number
  brokerPid: number
  relayPid: number
  consumed: Consumed | null
  say(line: string): void
}

export interface RelayBenchOptions {
  events: number
  /** A consumer reads what comes, each wave to its end. */
  isConsumed: boolean
  say(line: string): void
}

const waveEvents = 200_000
const partitions = 16
const aloneTopic = 'alone'
const sessionsOfShard = 10
const fillLot = 500
const lookMs = 50
const patienceMs = 180_000
const root = fileURLToPath(new URL('../..', import.meta.url))
const alone = join(root, 'bench/kafka/alone.mjs')
const bases = shardBases('sluice:')
const fillScript = readFileSync(new URL('./fill.lua', import.meta.url), 'utf8')

/** So many events from the outbox in Redis to Kafka through one relay; broker, Redis and relay share the machine. */
export async function relayBench({
  events,
  isConsumed,
  say,
}: RelayBenchOptions): Promise<RelayRow[]> {
  const broker = await startBroker(say)
  const folder = mkdtempSync(join(tmpdir(), 'sluice-relay-bench-'))
  const port = await freePort()
  const files = ['--dir', folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec']
  const quiet = { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' } as const
  const server = Bun.spawn(['redis-server', '--port', `${port}`, ...files], quiet)
  const redis = await connect(port)
  let relay: Bun.Subprocess | null = null
  let consumed: Consumed | null = null
  try {
    await makeTopics(broker.address)
    const rows: RelayRow[] = [await byItself(broker.address)]
    say(JSON.stringify(rows[0]))
    const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${port}`, PORT: '' }
    relay = Bun.spawn([process.execPath, join(root, 'gateway/relay/main.ts')], {
      ...quiet,
      stderr: 'inherit',
      env: { ...env, AUTH: 'development', KAFKA_BROKERS: broker.address },
    })
    const relayPid = relay.pid
    if (isConsumed) consumed = startConsumed(broker.address)
    const pids = { redisPid: server.pid, brokerPid: broker.pid ?? 0, relayPid }
    const parts = { redis, ...pids, consumed, say }
    await until(async () => (await redis.get(outboxKeys.relay(bases[0] ?? ''))) !== null)
    for (let wave = 1; wave <= events / waveEvents; wave += 1) {
      rows.push({ wave, ...(await runWave(wave, parts)) })
      say(JSON.stringify(rows.at(-1)))
    }
    return rows
  } finally {
    relay?.kill('SIGKILL')
    await relay?.exited
    await consumed?.[Symbol.asyncDispose]()
    redis.destroy()
    server.kill('SIGKILL')
    await server.exited
    await broker.release()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function connect(port: number) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  client.on('error', () => undefined)
  return await client.connect()
}

async function makeTopics(address: string): Promise<void> {
  await using log = kafkaLog({ brokers: [address], clientId: 'bench', log: quietLog })
  for (const topic of [aloneTopic, ...Object.values(topics)])
    await log.createTopic(newTopic(topic, partitions, 1))
}

/** The client by itself in node with records of the same size, as a measure of the machine. */
async function byItself(broker: string): Promise<RelayRow> {
  const args = ['produce', broker, aloneTopic, `${waveEvents}`, '8', '650']
  const child = Bun.spawn(['node', alone, ...args], { stdout: 'pipe', stderr: 'inherit' })
  const eventsPerSecond = Number(await new Response(child.stdout).text())
  if (!(eventsPerSecond > 0)) throw new Error('the client by itself failed')
  await child.exited
  const clientCpu = Number(child.resourceUsage()?.cpuTime.total ?? 0) / waveEvents
  return { wave: 0, eventsPerSecond, clientCpu }
}

async function runWave(wave: number, parts: Parts): Promise<RelayRow> {
  const { redis, relayPid, consumed, say } = parts
  // It stands still meanwhile, so that all of the wave waits when it goes on.
  process.kill(relayPid, 'SIGSTOP')
  await fill(redis, wave)
  say(`${waveEvents} events wait`)
  process.kill(relayPid, 'SIGCONT')
  await until(async () => (await depth(redis)) < waveEvents)
  const from = await depth(redis)
  const before = usage(parts)
  const startedAt = performance.now()
  const memory = memoryOf(parts)
  await until(async () => {
    memory.look()
    return (await depth(redis)) === 0
  })
  const seconds = (performance.now() - startedAt) / 1_000
  const after = usage(parts)
  const cpu = Object.entries(after).map(([name, used]) => [
    name,
    ((used - (before[name] ?? 0)) * 1_000_000) / from,
  ])
  if (consumed !== null) {
    await until(async () => {
      memory.look()
      return consumed.isThere()
    })
  }
  return {
    eventsPerSecond: Math.round(from / seconds),
    ...Object.fromEntries(cpu),
    ...memory.most,
  }
}

/** The highest of each process so far, in MiB. */
function memoryOf({ relayPid, consumed }: Parts) {
  const pids = { relayRssMb: relayPid, clientRssMb: childOf(relayPid) }
  const others = consumed && { consumerRssMb: consumed.pid, itsClientRssMb: childOf(consumed.pid) }
  const most: Record<string, number> = {}
  return {
    most,
    look() {
      for (const [name, pid] of Object.entries({ ...pids, ...others }))
        most[name] = Math.max(most[name] ?? 0, Math.round(rssKbOf(pid) / 1_024))
    },
  }
}

function usage({ relayPid, redisPid, brokerPid }: Parts): Record<string, number> {
  return {
    relayCpu: cpuSecondsOf(relayPid),
    clientCpu: cpuSecondsOf(childOf(relayPid)),
    redisCpu: cpuSecondsOf(redisPid),
    brokerCpu: cpuSecondsOf(brokerPid),
  }
}

function childOf(pid: number): number {
  const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
  return Number(child)
}

async function fill(redis: Redis, wave: number): Promise<void> {
  const perShard = waveEvents / shards
  await Promise.all(
    bases.map(async (base, shard) => {
      const kinds = [chunk(), message()].flatMap(({ topic, head, json }) => [topic, head, json, ''])
      const sessions = sessionsOf(shard)
      for (let done = 0; done < perShard; done += fillLot) {
        const count = Math.min(fillLot, perShard - done)
        const from = (wave - 1) * perShard + done
        const args = [base, `${from}`, `${count}`, ...kinds, ...sessions]
        await redis.eval(fillScript, { keys: [outboxKeys.stream(base)], arguments: args })
      }
    }),
  )
}

async function depth(redis: Redis): Promise<number> {
  const sizes = await Promise.all(bases.map((base) => redis.hGet(outboxKeys.size(base), 'n')))
  return sizes.reduce((sum, size) => sum + Number(size ?? 0), 0)
}

function sessionsOf(shard: number): string[] {
  const found: string[] = []
  for (let at = 0; found.length < sessionsOfShard; at += 1) {
    const id = `0199f3a2-7c41-7000-8000-${at.toString(16).padStart(12, '0')}`
    if (shardOf(id) === shard) found.push(id)
  }
  return found
}

const words = 'A stream is a row of facts, each of which somebody may need again. '

/** A run of some thirty tokens. */
function chunk() {
  const fields = { messageId: uuidv7(Date.now()), fromSeq: 2, fromChunkIndex: 0, chunkIndex: 29 }
  const text = words.repeat(3).slice(0, 180)
  return kind('CHUNK_RECEIVED', topics.stream, { ...fields, contentLength: text.length, text })
}

function message() {
  const content = words.repeat(16)
  const fields = { messageId: uuidv7(Date.now()), role: 'assistant', status: 'completed', content }
  return kind('CHAT_MESSAGE', topics.chat, { ...fields, contentLength: content.length })
}

function kind(eventType: string, topic: 'stream-events' | 'chat-events', fields: object) {
  const timestamp = Date.now()
  const eventId = '0199f3a2-7c41-7000-8000-EVENT'
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const who = { tenantId: 'default', userId: 'somebody@example.com', nodeId: 'node-1' }
  const where = { sessionId: 'SESSION', conversationId: 'SESSION' }
  const at = { schemaVersion: 1, timestamp: new Date(timestamp).toISOString() }
  const json = JSON.stringify({ eventId, eventType, ...at, ...who, ...where, ...fields })
  const head = { eventId, eventType, topic, key: 'SESSION', timestamp, nodeId: who.nodeId }
  return { topic, head: headOf({ ...head, traceparent, json: '' }), json: json.slice(0, -1) }
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not done within ${patienceMs / 1_000} s`)
    await Bun.sleep(lookMs)
  }
}
