import { asc, eq } from 'drizzle-orm'
import type { Db } from '../client.ts'
import { consumerOffsets } from '../schema/consumer-offsets.ts'
import type { PartitionOffset } from './add-offsets.ts'

/** How far a group is, in every partition that it has an offset of. */
export function readOffsets(db: Db, groupId: string): Promise<PartitionOffset[]> {
  const { topic, partition, nextOffset } = consumerOffsets
  return db
    .select({ topic, partition, offset: nextOffset })
    .from(consumerOffsets)
    .where(eq(consumerOffsets.groupId, groupId))
    .orderBy(asc(topic), asc(partition))
}
