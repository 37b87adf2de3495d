import { once } from 'node:events'
import postgres from 'postgres'
import type { Figures } from '../run-load.ts'

const connections = 4
const batches = [500, 5_000]

/** The rows of `audit_logs`, made again by COPY from texts that are ready: the best of batches, rows a second. */
export async function copied(databaseUrl: string, sql: postgres.Sql): Promise<Figures & Copied> {
  const lines = await linesOf(sql)
  const plain = await plainly(databaseUrl, sql, lines)
  const perBatch: number[] = []
  for (const batch of batches) perBatch.push(await staged(databaseUrl, sql, { lines, batch }))
  const named = batches.map((batch, at) => [`copyBy${batch}`, perBatch[at] ?? 0])
  return {
    ...Object.fromEntries(named),
    copyPerSecond: Math.max(...perBatch),
    unindexedPerSecond: plain,
  }
}

interface Copied {
  copyPerSecond: number
}

async function linesOf(sql: postgres.Sql): Promise<string[]> {
  const parts: Buffer[] = []
  const readable = await sql`copy (select * from audit_logs) to stdout`.readable()
  for await (const part of readable) parts.push(part as Buffer)
  return Buffer.concat(parts)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
}

/** Into a staging table, from there into the table with its keys and indexes: a transaction each batch. */
async function staged(
  databaseUrl: string,
  sql: postgres.Sql,
  { lines, batch }: { lines: readonly string[]; batch: number },
): Promise<number> {
  await sql`truncate audit_logs`
  await sql`checkpoint`
  return measured(lines, batch, async (take) => {
    const lane = postgres(databaseUrl, { max: 1, onnotice: () => undefined })
    await lane`create temp table staging (like audit_logs) on commit delete rows`
    for (let text = take(); text !== null; text = take()) {
      const copying = text
      await lane.begin(async (transaction) => {
        await copyIn(transaction, copying)
        await transaction`
          insert into audit_logs select * from staging order by event_id on conflict do nothing`
      })
    }
    await lane.end()
  })
}

/** The staging table alone, without any index. */
async function plainly(
  databaseUrl: string,
  sql: postgres.Sql,
  lines: readonly string[],
): Promise<number> {
  await sql`create table staging (like audit_logs)`
  const perSecond = await measured(lines, 5_000, async (take) => {
    const lane = postgres(databaseUrl, { max: 1, onnotice: () => undefined })
    for (let text = take(); text !== null; text = take()) await copyIn(lane, text)
    await lane.end()
  })
  await sql`drop table staging`
  return perSecond
}

async function copyIn(sql: postgres.Sql | postgres.TransactionSql, text: string): Promise<void> {
  const writable = await sql`copy staging from stdin`.writable()
  writable.end(text)
  await once(writable, 'finish')
}

async function measured(
  lines: readonly string[],
  batch: number,
  lane: (take: () => string | null) => Promise<void>,
): Promise<number> {
  let at = 0
  const take = () => {
    if (at >= lines.length) return null
    const text = `${lines.slice(at, at + batch).join('\n')}\n`
    at += batch
    return text
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: connections }, () => lane(take)))
  return Math.round(lines.length / ((performance.now() - startedAt) / 1_000))
}
