import { shardOf, shards } from '#events/murmur2.ts'
import { uuidv7 } from '#runtime/ids.ts'

const messageId = /^[0-9a-f]{8}-[0-9a-f]{4}-7([0-9a-f]{3})-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** A UUIDv7 of this instant whose 12 `rand_a` bits are the session's shard, so that its id alone finds a message. */
export function newMessageId(sessionId: string, atMs: number): string {
  const id = uuidv7(atMs)
  return `${id.slice(0, 15)}${shardOf(sessionId).toString(16).padStart(3, '0')}${id.slice(18)}`
}

/** The shard that a message's id names; null: no id of ours. */
export function shardOfMessage(id: string): number | null {
  const match = messageId.exec(id)
  if (!match) return null
  const shard = Number.parseInt(match[1] ?? '', 16)
  return shard < shards ? shard : null
}
