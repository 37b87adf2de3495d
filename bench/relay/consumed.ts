import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import counting from './counting.ts'

export interface Consumed extends AsyncDisposable {
  readonly pid: number
  /** Whether it has gone on to the end of the log. */
  isThere(): Promise<boolean>
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A consumer that does nothing with what it reads. */
export function startConsumed(broker: string): Consumed {
  const log = kafkaLog({ brokers: [broker], clientId: 'bench', log: quietLog })
  const main = join(root, 'cli/consumer/main.ts')
  const consumer = Bun.spawn([process.execPath, main, join(root, 'bench/relay/counting.ts')], {
    ...{ stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' },
    env: { ...process.env, PORT: '', DATABASE_URL: '', REDIS_URL: '', KAFKA_BROKERS: broker },
  })
  return {
    pid: consumer.pid,
    async isThere() {
      const committed = await log.committed(counting.groupId)
      const kept = await Promise.all(Object.values(topics).map((topic) => log.kept(topic)))
      const written = kept.flat().reduce((sum, of) => sum + (of?.to ?? 0), 0)
      return committed.reduce((sum, { offset }) => sum + offset, 0) >= written
    },
    async [Symbol.asyncDispose]() {
      consumer.kill('SIGKILL')
      await consumer.exited
      await log[Symbol.asyncDispose]()
    },
  }
}
