import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'
import type { PartitionOffset } from './add-offsets.ts'

/** Moves a group's offsets on; never back, and none that it hasn't. */
export async function advanceOffsets(
  db: Db,
  groupId: string,
  offsets: readonly PartitionOffset[],
): Promise<void> {
  if (offsets.length === 0) return
  await db.execute(sql`
    update consumer_offsets c set next_offset = o."offset"
    from json_to_recordset(${jsonOf(offsets)}) as o(topic text, partition integer, "offset" bigint)
    where c.group_id = ${groupId} and c.topic = o.topic and c.partition = o.partition
      and c.next_offset < o."offset"`)
}
