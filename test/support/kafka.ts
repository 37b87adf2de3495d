import { randomUUID } from 'node:crypto'
import { type KafkaLog, type KafkaLogOptions, kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { createLog } from '#runtime/log.ts'
import { type Broker, startBroker } from './kafka-broker.ts'
import { atEnd, atFileEnd, opened } from './tracker.ts'

/** A broker of one's own that ends with the test or file. */
export async function ownBroker(): Promise<Broker> {
  const broker = await startBroker()
  atEnd(() => broker.release())
  return broker
}

let own: Promise<Broker> | null = null

/** Where the broker of this run is; outside a run, one for this file. */
export async function sharedBroker(): Promise<string> {
  const named = process.env['SLUICE_TEST_KAFKA']
  if (named) return named
  own ??= startBroker().then((broker) => {
    atFileEnd(async () => {
      own = null
      await broker.release()
    })
    return broker
  })
  return (await own).address
}

/** A log of the broker that is shared, with whatever the options say otherwise. */
export async function openKafkaLog(options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> {
  const brokers = options.brokers ?? [await sharedBroker()]
  const log = kafkaLog({ brokers, clientId: 'sluice-test', log: testLog(), ...options })
  const closed = opened('kafka event log')
  const end = log[Symbol.asyncDispose].bind(log)
  log[Symbol.asyncDispose] = async () => {
    await end()
    closed()
  }
  return log
}

function testLog() {
  const level = process.env['SLUICE_TEST_LOG'] === undefined ? 'warn' : 'debug'
  return createLog({ process: 'test', level, write: (line) => process.stderr.write(line) })
}

/** A topic of nobody else, whose records stay whatever their time; answers its name. */
export async function makeTopic(log: KafkaLog, partitions: number): Promise<string> {
  const topic = `topic-${randomUUID()}`
  const config = { 'retention.ms': '-1', 'max.message.bytes': String(4 << 20) }
  await log.createTopic({ topic, partitions, replication: 1, config })
  return topic
}

/** For the contract of event logs. */
export async function kafkaAdapter() {
  const log = await openKafkaLog()
  return {
    log,
    makeTopic: (partitions: number) => makeTopic(log, partitions),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  }
}
