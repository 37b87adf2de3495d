import { sql } from 'drizzle-orm'
import type { Database, Db } from './client.ts'

export type PartitionBy = 'month' | 'day'

export interface KeepPartitions {
  nowMs: number
  /** `month` by default. May change: new partitions take what no old one covers. */
  by?: PartitionBy
  /** Partitions of the audit that end so long ago go, rows and all; left out: none does. */
  auditRetentionMs?: number
}

export interface KeptPartitions {
  created: string[]
  dropped: string[]
  /** Tables with rows that no partition takes: an alarm, for their default partition grows and is never dropped. */
  stray: string[]
}

interface Range {
  fromMs: number
  toMs: number
}

const tables = [
  { table: 'audit_logs', column: 'timestamp' },
  { table: 'messages', column: 'created_at' },
] as const

type Partitioned = (typeof tables)[number]

const ahead = 3
// As long as the log keeps events at most, so that a group that begins at its start finds its partitions.
const backMs = 31 * 86_400_000
const consumedDays = 35
const lock = 7_303_002

/**
 * Makes the partitions of now, of the three ranges to come and of the last month, moves rows of theirs out of the
 * default partition, drops what is older than it is to be kept. Idempotent, and safe in several processes at once.
 */
export async function keepPartitions(
  database: Database,
  options: KeepPartitions,
): Promise<KeptPartitions> {
  const kept: KeptPartitions = { created: [], dropped: [], stray: [] }
  for (const partitioned of tables) {
    const wanted = rangesWanted(partitioned, options)
    // A transaction for each: whoever waits for a lock of ours waits for one partition only.
    for (const range of wanted) {
      const name = await inTurn(database, (tx) => create(tx, partitioned, range))
      if (name !== null) kept.created.push(name)
    }
    if (await hasStrays(database.db, partitioned)) kept.stray.push(partitioned.table)
  }
  const { auditRetentionMs, nowMs } = options
  if (auditRetentionMs !== undefined) {
    const dropped = await inTurn(database, (tx) => dropBefore(tx, nowMs - auditRetentionMs))
    kept.dropped.push(...dropped)
  }
  await database.db.execute(
    sql`delete from consumed where day < current_date - ${consumedDays}::integer`,
  )
  return kept
}

function inTurn<T>(database: Database, work: (tx: Db) => Promise<T>): Promise<T> {
  return database.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${lock})`)
    // Behind a long reader we would hold up every writer behind us.
    await tx.execute(sql`set local lock_timeout = '3s'`)
    return work(tx)
  })
}

/** Ranges from the oldest to the newest that there should be. */
function rangesWanted(
  { table }: Pick<Partitioned, 'table'>,
  { nowMs, by = 'month', auditRetentionMs }: KeepPartitions,
): Range[] {
  const isKeptFor = table === 'audit_logs' ? (auditRetentionMs ?? backMs) : backMs
  const firstMs = nowMs - Math.min(backMs, isKeptFor)
  const ranges: Range[] = []
  let range = rangeAt(firstMs, by)
  for (let after = 0; after <= ahead; range = rangeAt(range.toMs, by)) {
    ranges.push(range)
    if (range.toMs > nowMs) after += 1
  }
  return ranges
}

function rangeAt(atMs: number, by: PartitionBy): Range {
  const at = new Date(atMs)
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()]
  return by === 'day'
    ? { fromMs: Date.UTC(year, month, day), toMs: Date.UTC(year, month, day + 1) }
    : { fromMs: Date.UTC(year, month), toMs: Date.UTC(year, month + 1) }
}

function nameOf({ table }: Partitioned, { fromMs, toMs }: Range): string {
  const [year, month, day] = new Date(fromMs).toISOString().slice(0, 10).split('-')
  const isMonth = toMs - fromMs > 2 * 86_400_000
  return `${table}_${year}_${month}${isMonth ? '' : `_${day}`}`
}

/** Null when that time is covered already. */
async function create(tx: Db, partitioned: Partitioned, range: Range): Promise<string | null> {
  const existing = await rangesOf(tx, partitioned)
  if (existing.some(({ fromMs, toMs }) => fromMs < range.toMs && toMs > range.fromMs)) return null
  const { table, column } = partitioned
  const name = nameOf(partitioned, range)
  const [parent, partition, time] = [table, name, column].map((word) => sql.identifier(word))
  const [from, to] = [range.fromMs, range.toMs].map((ms) => new Date(ms).toISOString())
  // Made apart and attached, for `create … partition of` would stop every reader and writer of the table.
  await tx.execute(sql`create table ${partition} (like ${parent} including all)`)
  const columns = sql.join(
    (await columnsOf(tx, table)).map((word) => sql.identifier(word)),
    sql`, `,
  )
  await tx.execute(sql`
    with moved as (
      delete from ${sql.identifier(`${table}_default`)}
      where ${time} >= ${from}::timestamptz and ${time} < ${to}::timestamptz
      returning ${columns}
    )
    insert into ${partition} (${columns}) select ${columns} from moved`)
  await tx.execute(
    sql.raw(
      `alter table ${table} attach partition ${name} for values from ('${from}') to ('${to}')`,
    ),
  )
  return name
}

/** Those that can be written: a generated column makes itself. */
async function columnsOf(db: Db, table: string): Promise<string[]> {
  const columns = await db.execute<{ name: string }>(sql`
    select attname as name from pg_attribute
    where attrelid = ${table}::regclass and attnum > 0 and not attisdropped and attgenerated = ''
    order by attnum`)
  return columns.map(({ name }) => name)
}

async function rangesOf(db: Db, { table }: Pick<Partitioned, 'table'>) {
  const rows = await db.execute<{ name: string; bound: string }>(sql`
    select c.relname::text as name, pg_get_expr(c.relpartbound, c.oid) as bound
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = ${table}::regclass
    order by 1`)
  return rows.flatMap(({ name, bound }) => {
    const [from, to] = [...bound.matchAll(/'([^']+)'/g)].map(([, text]) => Date.parse(text ?? ''))
    return from === undefined || to === undefined ? [] : [{ name, fromMs: from, toMs: to }]
  })
}

async function hasStrays(db: Db, { table }: Partitioned): Promise<boolean> {
  const strays = await db.execute(sql`select 1 from ${sql.identifier(`${table}_default`)} limit 1`)
  return strays.length > 0
}

async function dropBefore(tx: Db, beforeMs: number): Promise<string[]> {
  const old = (await rangesOf(tx, { table: 'audit_logs' })).filter(({ toMs }) => toMs <= beforeMs)
  for (const { name } of old) await tx.execute(sql`drop table ${sql.identifier(name)}`)
  return old.map(({ name }) => name)
}
