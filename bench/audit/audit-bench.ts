import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { groups } from '#consumers/groups.ts'
import { migrate } from '#db/migrate.ts'
import { postgresDatabase } from '#db/postgres.ts'
import type { NewRecord } from '#eventlog/event-log.ts'
import { kafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { newTopic } from '#eventlog/kafka/topic-table.ts'
import { topics } from '#events/topics.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { quietLog } from '#runtime/log.ts'
import { Teller } from '../../test/contract/consumers-events.ts'
import { startBroker } from '../../test/support/kafka-broker.ts'
import { testDatabase } from '../../test/support/postgres.ts'
import { cpuSecondsOf } from '../process.ts'
import type { Figures } from '../run-load.ts'
import { copied } from './copied.ts'

const answers = 40_000
const partitions = 16
const rounds = 2
const lookMs = 50
const patienceMs = 120_000
const root = fileURLToPath(new URL('../..', import.meta.url))

interface Parts {
  broker: string
  databaseUrl: string
  sql: postgres.Sql
}

/**
 * A backlog of events through `bun run consumer:audit`, then the rows that it has made by COPY: into a staging table and
 * from there into the emptied table itself, by as many connections at once as the consumer has.
 */
export async function auditBench(say: (line: string) => void): Promise<Figures[]> {
  const broker = await startBroker(say)
  const rows: Figures[] = []
  try {
    for (let round = 0; round < rounds; round += 1) {
      await using database = await testDatabase()
      const made = postgresDatabase(database.url, { max: 1, name: 'bench' })
      await migrate(made, { nowMs: Date.now(), by: 'month' })
      await made[Symbol.asyncDispose]()
      const sql = postgres(database.url, { max: 1, onnotice: () => undefined })
      const parts = { broker: broker.address, databaseUrl: database.url, sql }
      if (round === 0) say(`${await fill(broker.address)} events wait`)
      const audit = await consumed(parts)
      say(`audit ${JSON.stringify(audit)}`)
      const byCopy = await copied(database.url, sql)
      say(`copy ${JSON.stringify(byCopy)}`)
      rows.push({ ...audit, ...byCopy, ratio: audit.rowsPerSecond / byCopy.copyPerSecond })
      await sql.end()
    }
  } finally {
    await broker.release()
  }
  return rows
}

/** The events of questions and answers of some seconds, each a session's first. */
async function fill(address: string): Promise<number> {
  await using log = kafkaLog({ brokers: [address], clientId: 'bench', log: quietLog })
  for (const topic of Object.values(topics)) await log.createTopic(newTopic(topic, partitions, 1))
  const answer = Array.from({ length: 40 }, () => 'A stream is a row of facts. ')
  let made = 0
  let count = 0
  const lane = async () => {
    while (made < answers) {
      const records: NewRecord[] = []
      for (; records.length < 600 && made < answers; made += 1) {
        const teller = new Teller(uuidv7(Date.now()), { userId: `user-${made % 997}` })
        teller.chat({ question: 'What is a stream?', answer })
        records.push(...teller.records())
      }
      await log.produce(records)
      count += records.length
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  return count
}

/** Each partition's last record is one that becomes a row, so the offsets are those of the log once all are there. */
async function consumed({ broker, databaseUrl, sql }: Parts) {
  const servers = { KAFKA_BROKERS: broker, DATABASE_URL: databaseUrl }
  const child = Bun.spawn([process.execPath, `${root}consumers/audit/main.ts`], {
    env: { ...process.env, ...servers, REDIS_URL: 'redis://127.0.0.1:9', PORT: '' },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'inherit',
  })
  try {
    const total = await endOf(broker)
    await until(async () => (await offsetsOf(sql)) > 0)
    const first = await rowsOf(sql)
    const startedAt = performance.now()
    const cpu = cpuSecondsOf(child.pid)
    await until(async () => (await offsetsOf(sql)) >= total)
    const seconds = (performance.now() - startedAt) / 1_000
    const consumerUs = (cpuSecondsOf(child.pid) - cpu) * 1e6
    const rows = (await rowsOf(sql)) - first
    return { rows, rowsPerSecond: Math.round(rows / seconds), consumerUs: consumerUs / rows }
  } finally {
    child.kill('SIGKILL')
    await child.exited
  }
}

async function endOf(broker: string): Promise<number> {
  await using log = kafkaLog({ brokers: [broker], clientId: 'bench', log: quietLog })
  const kept = await Promise.all(Object.values(topics).map((topic) => log.kept(topic)))
  return kept.flatMap((ranges) => ranges ?? []).reduce((sum, { to }) => sum + to, 0)
}

async function offsetsOf(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ sum: string | null }[]>`
    select sum(next_offset) from consumer_offsets where group_id = ${groups.audit}`
  return Number(row?.sum ?? 0)
}

async function rowsOf(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<{ count: string }[]>`select count(*) from audit_logs`
  return Number(row?.count ?? 0)
}

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`not done within ${patienceMs / 1_000} s`)
    await Bun.sleep(lookMs)
  }
}
