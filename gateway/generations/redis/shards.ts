import { shardOf, shards } from '#events/murmur2.ts'
import { shardOfMessage } from '../../chat/message-id.ts'

const slots = 16_384

/** The hash slot of a cluster that a key with this tag belongs to: CRC16 (XMODEM) of the tag. */
export function slotOf(tag: string): number {
  let crc = 0
  for (const byte of Buffer.from(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
    }
    crc &= 0xffff
  }
  return crc % slots
}

const candidates = 4_096

/**
 * One hash tag a shard, so that shards spread evenly over the nodes of a cluster, which own ranges of slots: each is the
 * nearest to a 64th of all slots. `{s00}`, `{s01}` … by themselves crowd together.
 */
export function shardTags(): string[] {
  const named = Array.from({ length: candidates }, (_, index) => {
    const tag = index.toString(36).padStart(3, '0')
    return { tag, slot: slotOf(tag) }
  })
  const tags = Array.from({ length: shards }, (_, shard) => {
    const wanted = (shard + 0.5) * (slots / shards)
    const nearest = named.reduce((best, each) =>
      Math.abs(each.slot - wanted) < Math.abs(best.slot - wanted) ? each : best,
    )
    return nearest.tag
  })
  if (new Set(tags).size !== shards) throw new Error('two shards have one hash tag')
  return tags
}

/** What every key of a shard begins with. */
export function shardBases(prefix: string): string[] {
  return shardTags().map((tag) => `${prefix}{${tag}}:`)
}

/** Remembered: a session is asked for many times. */
const known = new Map<string, number>()
const knownMax = 50_000

export function shardOfSession(sessionId: string): number {
  let shard = known.get(sessionId)
  if (shard === undefined) {
    if (known.size >= knownMax) known.clear()
    shard = shardOf(sessionId)
    known.set(sessionId, shard)
  }
  return shard
}

export { shardOfMessage }
