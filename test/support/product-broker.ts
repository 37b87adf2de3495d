import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { newTopic } from '#eventlog/kafka/topic-table.ts'
import { topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import { startBroker } from './kafka-broker.ts'
import { atEnd, opened } from './tracker.ts'

/** A broker of the file's own with the product's topics, for groups and topics of fixed names; ends with the file. */
export async function productBroker() {
  const closed = opened('broker')
  const broker = await startBroker()
  const eventLog = kafkaLog({ brokers: [broker.address], clientId: 'test', log: quietLog })
  atEnd(async () => {
    await eventLog[Symbol.asyncDispose]()
    await broker.release()
    closed()
  })
  for (const topic of [topics.stream, topics.chat]) {
    await eventLog.createTopic(newTopic(topic, 16, 1))
  }
  return { broker, eventLog, brokers: broker.address }
}
