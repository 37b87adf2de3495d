import { describe, expect, test } from 'bun:test'
import { murmur2, partitionOf, shardOf, shards } from '#events/murmur2.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('murmur2', () => {
  // From UtilsTest of the Java clients.
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is what the Java clients say', (text, hash) => {
    expect(murmur2(bytes(text))).toBe(hash)
  })

  test('reads a view of a longer array from its own beginning', () => {
    expect(murmur2(bytes('xxfoobarxx').subarray(2, 8))).toBe(-790332482)
  })

  test('a partition is never negative', () => {
    // -790332482 & 0x7fffffff is 1357151166.
    expect(partitionOf(bytes('foobar'), 16)).toBe(1_357_151_166 % 16)
    expect(partitionOf(bytes('foobar'), 7)).toBe(1_357_151_166 % 7)
  })

  test('a shard feeds one partition of a topic with any power of two of partitions', () => {
    for (let i = 0; i < 500; i += 1) {
      const id = `session-${i}`
      expect(shardOf(id)).toBeLessThan(shards)
      for (const partitions of [1, 2, 4, 8, 16, 32, 64]) {
        expect(partitionOf(bytes(id), partitions)).toBe(shardOf(id) % partitions)
      }
    }
  })
})
