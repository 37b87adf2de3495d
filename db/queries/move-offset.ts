import { sql } from 'drizzle-orm'
import type { Db } from '../client.ts'

export interface OffsetMove {
  groupId: string
  topic: string
  partition: number
  /** Offset of the first record that is covered. */
  first: number
  /** The offset to go on from. */
  next: number
}

/**
 * Moves a group's offset over records. False when another has gone past `first` already, or there is no offset. Holds
 * the row until the transaction ends, so of two members that believe that they own a partition one waits, then fails.
 */
export async function moveOffset(tx: Db, move: OffsetMove): Promise<boolean> {
  const { groupId, topic, partition, first, next } = move
  const moved = await tx.execute(sql`
    update consumer_offsets set next_offset = ${next}
    where group_id = ${groupId} and topic = ${topic} and partition = ${partition}
      and next_offset <= ${first}
    returning 1`)
  return moved.length > 0
}
