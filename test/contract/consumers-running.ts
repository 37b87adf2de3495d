import { sql } from 'drizzle-orm'
import type { ConsumerDefinition } from '#consumers/define.ts'
import { runConsumer } from '#consumers/run.ts'
import { embeddedTransactions, Transactions } from '#consumers/transactions.ts'
import type { NewRecord } from '#eventlog/event-log.ts'
import { type Log, quietLog } from '#runtime/log.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { type Parts, TestClock } from './consumers-bench.ts'

/** Our own consumers at work on an event log and a database, as in `bun start`. */
export class Running {
  readonly parts: Parts
  readonly #definitions: readonly ConsumerDefinition[]
  readonly stop: () => Promise<void>

  constructor(parts: Parts, definitions: readonly ConsumerDefinition[], logger: Log = quietLog) {
    this.parts = parts
    this.#definitions = definitions
    const stopping = new AbortController()
    const { eventLog, database } = parts
    const transactions = new Transactions(database, { ...embeddedTransactions, share: 1 })
    const running = definitions.map((definition) =>
      runConsumer(definition, {
        ...{ eventLog, database, transactions, logger },
        ...{ signal: stopping.signal, clock: new TestClock(), tellEveryMs: 10 },
      }),
    )
    this.stop = async () => {
      stopping.abort()
      await Promise.all(running.map(({ finished }) => finished))
    }
    atEnd(this.stop)
  }

  /** Stores the records and waits until every consumer is past them. */
  async handle(records: readonly NewRecord[]): Promise<void> {
    await this.parts.eventLog.produce([...records])
    await this.settled()
  }

  async settled(): Promise<void> {
    for (const { groupId, topics } of this.#definitions) {
      for (const topic of topics) {
        for (const { partition, from, to } of (await this.parts.eventLog.kept(topic)) ?? []) {
          if (from === to) continue
          await until(async () => (await this.#offset(groupId, topic, partition)) >= to, {
            what: `${groupId} is at ${to} of ${topic}/${partition}`,
            timeoutMs: 15_000,
            everyMs: 10,
          })
        }
      }
    }
  }

  async #offset(group: string, topic: string, partition: number): Promise<number> {
    const rows = await this.parts.database.db.execute<{ at: string }>(sql`
      select next_offset::text as at from consumer_offsets
      where group_id = ${group} and topic = ${topic} and partition = ${partition}`)
    return Number(rows[0]?.at ?? -1)
  }
}
