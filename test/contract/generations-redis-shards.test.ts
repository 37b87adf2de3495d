import { describe, expect, test } from 'bun:test'
import { shards } from '#events/murmur2.ts'
import { shardBases, shardTags, slotOf } from '#gateway/generations/redis/shards.ts'

describe('the shards of Redis', () => {
  test('a tag has the slot that a cluster gives it', () => {
    // Of the cluster specification, and of `CLUSTER KEYSLOT`.
    expect(slotOf('123456789')).toBe(0x31c3)
    expect(slotOf('foo')).toBe(12_182)
    expect(slotOf('user1000')).toBe(3_443)
  })

  test('there is one tag each, and every 64th of the slots has one', () => {
    const tags = shardTags()
    expect(new Set(tags).size).toBe(shards)
    const slots = tags.map(slotOf)
    expect(slots.map((slot) => Math.floor(slot / 256))).toEqual([...tags.keys()])
    for (const nodes of [2, 3, 4, 6]) {
      const counts = Array.from({ length: nodes }, () => 0)
      for (const slot of slots) {
        const node = Math.floor((slot * nodes) / 16_384)
        counts[node] = (counts[node] ?? 0) + 1
      }
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    }
  })

  test('tags never change: what is stored is found by them', () => {
    const bases = shardBases('sluice:')
    expect(bases).toHaveLength(shards)
    expect(bases.slice(0, 3)).toEqual(['sluice:{289}:', 'sluice:{19b}:', 'sluice:{2kp}:'])
    expect(Bun.hash(bases.join())).toBe(3_240_520_893_655_908_109n)
  })
})
