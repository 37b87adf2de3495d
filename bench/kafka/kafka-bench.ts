import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { NewRecord } from '#eventlog/event-log.ts'
import { type KafkaLog, kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { quietLog } from '#runtime/log.ts'
import { startBroker } from '../../test/support/kafka-broker.ts'

/** Records a second of one way, one kind of record: the best of the rounds of each side. */
export interface KafkaRow {
  what: 'produce' | 'consume'
  headers: number
  child: number
  alone: number
  ratio: number
}

interface Load {
  broker: string
  topic: string
  headers: number
}

const count = 400_000
const rounds = 3
const batchSize = 1_000
const partitions = 6
const alone = fileURLToPath(new URL('./alone.mjs', import.meta.url))

/** The client in its process, spoken to from here, beside the client by itself in node: same broker, same run. */
export async function kafkaBench(say: (line: string) => void): Promise<KafkaRow[]> {
  const broker = await startBroker(say)
  const log = kafkaLog({ brokers: [broker.address], clientId: 'bench', log: quietLog })
  try {
    const rows: KafkaRow[] = []
    for (const headers of [0, 8]) rows.push(...(await measure(log, broker.address, headers, say)))
    return rows
  } finally {
    await log[Symbol.asyncDispose]()
    await broker.release()
  }
}

async function measure(
  log: KafkaLog,
  broker: string,
  headers: number,
  say: (line: string) => void,
): Promise<KafkaRow[]> {
  const rows = (['produce', 'consume'] as const).map((what) => ({
    ...{ what, headers, child: 0, alone: 0, ratio: 0 },
  }))
  for (let round = 0; round < rounds; round += 1) {
    const load = { broker, topic: await makeTopic(log), headers }
    const other = { ...load, topic: await makeTopic(log) }
    for (const row of rows) {
      const child = await (row.what === 'produce' ? produce(log, load) : consume(log, load))
      const by = await byItself(row.what, other)
      say(`${row.what}, ${headers} headers: child ${child}/s, alone ${by}/s`)
      row.child = Math.max(row.child, child)
      row.alone = Math.max(row.alone, by)
      row.ratio = row.child / row.alone
    }
  }
  return rows
}

async function makeTopic(log: KafkaLog): Promise<string> {
  const topic = `bench-${randomUUID()}`
  await log.createTopic({ topic, partitions, replication: 1, config: { 'retention.ms': '-1' } })
  return topic
}

async function byItself(what: string, { broker, topic, headers }: Load): Promise<number> {
  const child = Bun.spawn(['node', alone, what, broker, topic, String(count), String(headers)], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const perSecond = Number(await new Response(child.stdout).text())
  if (!(perSecond > 0)) throw new Error(`the client by itself failed to ${what}`)
  return perSecond
}

async function produce(log: KafkaLog, { topic, headers }: Load): Promise<number> {
  const encoder = new TextEncoder()
  const value = new Uint8Array(240).fill(120)
  const header = encoder.encode('value of a header')
  const names = Array.from({ length: headers }, (_, at): [string, Uint8Array] => [
    `header-${at}`,
    header,
  ])
  let made = 0
  const batch = (): NewRecord[] =>
    Array.from({ length: batchSize }, () => {
      made += 1
      const key = encoder.encode(`key-${made % 9_973}`)
      return { topic, key, value, headers: names, timestamp: 1_785_748_542_517 }
    })
  const startedAt = performance.now()
  const lane = async () => {
    while (made < count) await log.produce(batch())
  }
  await Promise.all(Array.from({ length: 40 }, lane))
  return Math.round(made / ((performance.now() - startedAt) / 1_000))
}

async function consume(log: KafkaLog, { topic }: Load): Promise<number> {
  const group = `bench-${randomUUID()}`
  await using member = await log.join({ group, topics: [topic], from: 'beginning' })
  const never = new AbortController().signal
  let startedAt = 0
  let found = 0
  while (found < count) {
    const batches = await member.poll(batchSize, never)
    if (startedAt === 0) startedAt = performance.now()
    for (const { records } of batches) found += records.length
  }
  return Math.round(found / ((performance.now() - startedAt) / 1_000))
}
