import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import type { KafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { makeTopic, openKafkaLog, sharedBroker } from '../support/kafka.ts'
import { atEnd, opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { newGroup, numbered, upTo } from './event-log-adapter.ts'

interface MemberProcess {
  pid: number
  values: Set<number>
  partitions: Set<number>
  /** The process of its Kafka client. */
  client(): Promise<number>
  kill(signal: NodeJS.Signals): Promise<number>
}

describe('members in processes of their own', () => {
  let log: KafkaLog
  let broker: string
  beforeAll(async () => {
    broker = await sharedBroker()
    log = await openKafkaLog()
  }, 120_000)
  afterAll(() => log[Symbol.asyncDispose]())

  test('share the partitions; another takes over within 15 s when one is killed', async () => {
    const topic = await makeTopic(log, 4)
    const group = newGroup()
    const first = startMember(broker, group, topic)
    const second = startMember(broker, group, topic)
    let made = 0
    const feed = async () => {
      await log.produce(
        numbered(topic, 40, made).map((record, at) => ({ ...record, partition: at % 4 })),
      )
      made += 40
    }
    const isShared = async () => {
      await feed()
      await Bun.sleep(100)
      return first.partitions.size > 0 && second.partitions.size > 0
    }
    await until(isShared, { timeoutMs: 12_000, what: 'both have partitions' })
    await first.kill('SIGKILL')
    const killedAt = performance.now()
    await feed()
    const isAll = () => upTo(made).every((n) => first.values.has(n) || second.values.has(n))
    await until(isAll, { timeoutMs: 15_000, what: 'the other has taken over' })
    expect(performance.now() - killedAt).toBeLessThan(15_000)
    expect(await second.kill('SIGTERM')).toBe(0)
  }, 40_000)

  test('leave when they are told to end, and another takes over at once', async () => {
    const topic = await makeTopic(log, 2)
    const group = newGroup()
    const first = startMember(broker, group, topic)
    await log.produce(numbered(topic, 30))
    await until(() => first.values.size === 30, { timeoutMs: 8_000 })
    expect(await first.kill('SIGTERM')).toBe(0)
    const second = startMember(broker, group, topic)
    await log.produce(numbered(topic, 30, 30))
    await until(() => second.values.size === 30, { timeoutMs: 5_000 })
    expect(Math.min(...second.values)).toBe(30)
    await second.kill('SIGKILL')
  }, 30_000)

  test('take their client with them within a second, however they end', async () => {
    const topic = await makeTopic(log, 1)
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const member = startMember(broker, newGroup(), topic)
      const client = await member.client()
      expect(isAlive(client)).toBe(true)
      await member.kill(signal)
      await until(() => !isAlive(client), { timeoutMs: 1_000, what: 'the client has ended' })
    }
  }, 20_000)

  test('keep their client when a signal goes to all of them', async () => {
    const topic = await makeTopic(log, 1)
    const member = startMember(broker, newGroup(), topic)
    const client = await member.client()
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(client, signal)
    await log.produce(numbered(topic, 5))
    await until(() => member.values.size === 5, { timeoutMs: 8_000 })
    expect(isAlive(client)).toBe(true)
    expect(await member.kill('SIGTERM')).toBe(0)
  }, 20_000)
})

function startMember(broker: string, group: string, topic: string): MemberProcess {
  const script = new URL('./event-log-kafka-process.ts', import.meta.url).pathname
  const child = Bun.spawn([process.execPath, script, broker, group, topic], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const closed = opened(`member process ${child.pid}`)
  const values = new Set<number>()
  const partitions = new Set<number>()
  let client = 0
  const reading = (async () => {
    let rest = ''
    const decoder = new TextDecoder()
    for await (const chunk of child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const said = JSON.parse(line)
        if (said.is === 'joined') client = said.client
        if (said.is !== 'handled') continue
        partitions.add(said.partition)
        for (const value of said.values) values.add(value)
      }
    }
  })()
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    const code = await child.exited
    await reading
    closed()
    return code
  }
  atEnd(async () => {
    if (child.exitCode === null && child.signalCode === null) await kill('SIGKILL')
  })
  return {
    pid: child.pid,
    values,
    partitions,
    client: () => until(() => client, { timeoutMs: 10_000, what: 'the member has joined' }),
    kill,
  }
}

/** A process that has ended may still be listed, until whoever adopted it looks. */
function isAlive(pid: number): boolean {
  const path = `/proc/${pid}/stat`
  return existsSync(path) && !/^\d+ \(.*\) Z/.test(readFileSync(path, 'utf8'))
}
