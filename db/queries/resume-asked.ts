import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'

// A row that is no partition's: its number is the time.
const groupOf = (group: string) => `resume:${group}`

/** Asks every member of a group to go on with partitions that too many parked records have paused. */
export async function askResume(db: Db, group: string, nowMs: number): Promise<void> {
  await db.execute(sql`
    insert into consumer_offsets as c (group_id, topic, partition, next_offset)
    values (${groupOf(group)}, '', 0, ${nowMs})
    on conflict (group_id, topic, partition) do update
      set next_offset = greatest(c.next_offset + 1, excluded.next_offset)`)
}

/** When that was last asked (each time another number); 0: never. */
export async function resumeAskedAt(db: Db, group: string): Promise<number> {
  const [row] = await db.execute<{ at: string }>(sql`
    select next_offset::text as at from consumer_offsets where group_id = ${groupOf(group)}`)
  return Number(row?.at ?? 0)
}
