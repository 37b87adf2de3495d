import { kafkaConfig } from '#eventlog/kafka/config.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { newTopic } from '#eventlog/kafka/topic-table.ts'
import { createLog } from '#runtime/log.ts'
import { type OpenKafka, topicsCommand } from './command.ts'

function open(): OpenKafka {
  const log = createLog({
    process: 'topics',
    level: 'error',
    write: (line) => process.stderr.write(line),
  })
  const kafka = kafkaLog({ ...kafkaConfig(process.env), log })
  return {
    kafka: {
      topics: () => kafka.topics(),
      brokers: () => kafka.brokers(),
      wanted: newTopic,
      createTopic: (topic) => kafka.createTopic(topic),
    },
    [Symbol.asyncDispose]: () => kafka[Symbol.asyncDispose](),
  }
}

process.exitCode = await topicsCommand({
  args: process.argv.slice(2),
  open,
  terminal: {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTty: process.stdout.isTTY === true,
    isErrTty: process.stderr.isTTY === true,
  },
})
