import { sql } from 'drizzle-orm'
import type { Clock } from '#consumers/clock.ts'
import type { ConsumerDefinition, HandleContext } from '#consumers/define.ts'
import { type RunningConsumer, runConsumer } from '#consumers/run.ts'
import type { Database } from '#db/client.ts'
import { DatabaseAway } from '#db/errors.ts'
import { addOffsets } from '#db/queries/add-offsets.ts'
import type { EventLog, LogRecord, NewRecord } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import { quietLog } from '#runtime/log.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'

/** What a suite runs on: an event log with the product's topics and a migrated database. */
export interface Parts {
  eventLog: EventLog
  database: Database
}

export type OpenParts = () => Promise<Parts>

/** Waits are short, but the long ones (a partition that is paused) end only when told. */
export class TestClock implements Clock {
  #held: (() => void)[] = []
  #aheadMs = 0

  get isHeld(): boolean {
    return this.#held.length > 0
  }

  now(): number {
    return Date.now() + this.#aheadMs
  }

  random(): number {
    return 0.5
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        this.#held = this.#held.filter((held) => held !== done)
        resolve()
      }
      if (signal?.aborted) return resolve()
      signal?.addEventListener('abort', done, { once: true })
      const isLong = ms >= 20_000
      const timer = isLong ? undefined : setTimeout(done, Math.min(ms, ms > 1_900 ? ms : 10))
      if (isLong) this.#held.push(done)
    })
  }

  /** Lets a minute pass. */
  minute(): void {
    this.#aheadMs += 61_000
    for (const done of [...this.#held]) done()
  }
}

/** A database that fails as told: before a transaction, or after it has committed without saying so. */
export class FlakyDatabase implements Database {
  readonly #database: Database
  fails: 'never' | 'before' | 'unheard' = 'never'
  transactions = 0

  constructor(database: Database) {
    this.#database = database
  }

  get db() {
    return this.#database.db
  }

  async transaction<T>(work: Parameters<Database['transaction']>[0]): Promise<T> {
    this.transactions += 1
    if (this.fails === 'before') throw new DatabaseAway('cut before')
    const result = await this.#database.transaction(work)
    if (this.fails === 'unheard') {
      this.fails = 'never'
      throw new DatabaseAway('cut after the commit')
    }
    return result as T
  }

  health() {
    return this.#database.health()
  }

  async [Symbol.asyncDispose]() {
    await this.#database[Symbol.asyncDispose]()
  }
}

type Handled = { partition: number; offset: number; eventId: string }

let benches = 0

/** One group of one test: what it has handled stands in a table without any key, so that a double is seen. */
export class Bench {
  readonly eventLog: EventLog
  readonly database: FlakyDatabase
  readonly clock = new TestClock()
  readonly groupId: string
  readonly table: string

  private constructor({ eventLog, database }: Parts) {
    this.eventLog = eventLog
    this.database = new FlakyDatabase(database)
    benches += 1
    this.groupId = `group-${benches}`
    this.table = `handled_${benches}`
  }

  static async open(parts: Parts): Promise<Bench> {
    const bench = new Bench(parts)
    const table = sql.identifier(bench.table)
    await parts.database.db.execute(
      sql`create table ${table} (partition integer, "offset" bigint, event_id text)`,
    )
    return bench
  }

  /** Runs a consumer of `stream-events` until the test is over. */
  run(
    definition: Partial<ConsumerDefinition> = {},
    onEvents?: (offsets: number[], context: HandleContext) => Promise<void> | void,
  ): RunningConsumer & { stop(): Promise<void> } {
    const stopping = new AbortController()
    const consumer = runConsumer(
      {
        name: 'test',
        groupId: this.groupId,
        topics: [topics.stream],
        transactional: true,
        handle: async (events, context) => {
          const rows = events.map(({ partition, offset, event }) => ({
            partition,
            offset,
            event_id: event.eventId,
          }))
          await context.transaction?.execute(sql`
            insert into ${sql.identifier(this.table)} select * from
            json_to_recordset(${JSON.stringify(rows)}::text::json)
            as r(partition integer, "offset" bigint, event_id text)`)
          await onEvents?.(
            events.map(({ offset }) => offset),
            context,
          )
        },
        ...definition,
      },
      {
        eventLog: this.eventLog,
        database: this.database,
        logger: quietLog,
        signal: stopping.signal,
        clock: this.clock,
        tellEveryMs: 10,
      },
    )
    const stop = async () => {
      stopping.abort()
      await consumer.finished
    }
    atEnd(stop)
    return { ...consumer, stop }
  }

  async produce(records: NewRecord[]): Promise<void> {
    await this.eventLog.produce(records.map((record) => ({ partition: 0, ...record })))
  }

  async handled(): Promise<Handled[]> {
    const rows = await this.database.db.execute<{
      partition: number
      offset: string
      event_id: string
    }>(sql`select partition, "offset"::text, event_id from ${sql.identifier(this.table)}`)
    return rows.map(({ partition, offset, event_id }) => ({
      partition,
      offset: Number(offset),
      eventId: event_id,
    }))
  }

  async handledOffsets(): Promise<number[]> {
    return (await this.handled()).map(({ offset }) => offset)
  }

  /** The group's offset in the table. */
  async offset(partition = 0): Promise<number | null> {
    const rows = await this.database.db.execute<{ at: string }>(sql`
      select next_offset::text as at from consumer_offsets
      where group_id = ${this.groupId} and topic = ${topics.stream} and partition = ${partition}`)
    return rows[0] === undefined ? null : Number(rows[0].at)
  }

  /** This group begins with what comes now: tests of one file share the log. Answers where, of partition 0. */
  async beginAtEnd(): Promise<number> {
    const kept = (await this.eventLog.kept(topics.stream)) ?? []
    const ends = kept.map(({ topic, partition, to }) => ({ topic, partition, offset: to }))
    await addOffsets(this.database.db, this.groupId, ends)
    return ends[0]?.offset ?? 0
  }

  async setOffset(offset: number): Promise<void> {
    await this.database.db.execute(sql`
      insert into consumer_offsets values (${this.groupId}, ${topics.stream}, 0, ${offset})
      on conflict (group_id, topic, partition) do update set next_offset = excluded.next_offset`)
  }

  reaches(offset: number, partition = 0): Promise<unknown> {
    return until(async () => (await this.offset(partition)) === offset, {
      what: `${this.groupId} is at ${offset}`,
      timeoutMs: 10_000,
      everyMs: 10,
    })
  }

  /** What stands in a topic, all partitions one after the other. */
  async records(topic: string): Promise<LogRecord[]> {
    const records: LogRecord[] = []
    for (const range of (await this.eventLog.kept(topic)) ?? []) {
      for await (const page of this.eventLog.read(range, new AbortController().signal)) {
        records.push(...page)
      }
    }
    return records
  }
}
