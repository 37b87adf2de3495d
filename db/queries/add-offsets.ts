import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { jsonOf } from '../rows.ts'

export interface PartitionOffset {
  topic: string
  partition: number
  /** The next to be read. */
  offset: number
}

/** Where a group begins in partitions that it has no offset of; those that it has stay. */
export async function addOffsets(
  db: Db,
  groupId: string,
  offsets: readonly PartitionOffset[],
): Promise<void> {
  if (offsets.length === 0) return
  await db.execute(sql`
    insert into consumer_offsets (group_id, topic, partition, next_offset)
    select ${groupId}, topic, partition, "offset"
    from json_to_recordset(${jsonOf(offsets)}) as o(topic text, partition integer, "offset" bigint)
    order by topic, partition
    on conflict do nothing`)
}
