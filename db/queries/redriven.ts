import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'

// Any number that is ours.
const lock = 7_303_003

/** Until the end of the transaction nobody else puts dead letters back. */
export async function lockRedrive(tx: Db): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${lock})`)
}

/** The offsets of a dead-letter topic's partition, from one to another (inclusive), that have been put back. */
export async function findRedriven(
  db: Db,
  range: { topic: string; partition: number; from: number; to: number },
): Promise<number[]> {
  const rows = await db.execute<{ at: string }>(sql`
    select event_data->>'offset' as at from audit_logs
    where tenant_id = 'default' and event_type = 'DEAD_LETTER_REDRIVEN' and source = 'dlq'
      and event_data->>'topic' = ${range.topic}
      and event_data->>'partition' = ${String(range.partition)}
      and (event_data->>'offset')::bigint between ${range.from} and ${range.to}`)
  return rows.map(({ at }) => Number(at))
}
