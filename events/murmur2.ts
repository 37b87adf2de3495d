const m = 0x5bd1e995
const seed = 0x9747b28c

/** The hash of `Utils.murmur2` of the Java clients: a signed 32-bit number. */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes
  const whole = length & ~3
  let hash = seed ^ length
  for (let at = 0; at < whole; at += 4) {
    let k = wordAt(bytes, at)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    hash = Math.imul(hash, m) ^ k
  }
  const rest = length & 3
  if (rest === 3) hash ^= byteAt(bytes, whole + 2) << 16
  if (rest >= 2) hash ^= byteAt(bytes, whole + 1) << 8
  if (rest >= 1) hash = Math.imul(hash ^ byteAt(bytes, whole), m)
  hash ^= hash >>> 13
  hash = Math.imul(hash, m)
  return hash ^ (hash >>> 15)
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    byteAt(bytes, at) |
    (byteAt(bytes, at + 1) << 8) |
    (byteAt(bytes, at + 2) << 16) |
    (byteAt(bytes, at + 3) << 24)
  )
}

// The caller stays within the array, which the type can't say.
function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

/** The partition that the partitioner `murmur2_random` gives a record of this key. */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

/** How many shards the hot state has; topics have as many partitions or a smaller power of two. */
export const shards = 64

const encoder = new TextEncoder()

/** The shard of a session; `shardOf(id) % partitions` is its partition in every topic. */
export function shardOf(sessionId: string): number {
  return partitionOf(encoder.encode(sessionId), shards)
}
