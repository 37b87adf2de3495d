import { expect, test } from 'bun:test'
import { Lane } from '#gateway/relay/lane.ts'
import type { Entry } from '#gateway/relay/outbox.ts'

const mib = 1 << 20

function entries(from: number, count: number, bytes = 100): Entry[] {
  return Array.from({ length: count }, (_, at) => ({
    id: `${from + at}-0`,
    record: {
      ...{ topic: 'stream-events', key: new Uint8Array(), headers: [], timestamp: 0 },
      value: new Uint8Array(bytes),
    },
  }))
}

function running(): Lane {
  const lane = new Lane(0)
  lane.isCareful = false
  return lane
}

test('a lane reads on behind what it has read, up to its bound', () => {
  const lane = running()
  expect(lane.room(0, 2_000, mib)).toBe(2_000)
  lane.read(entries(1, 1_500))
  expect([lane.after, lane.room(0, 2_000, mib)]).toEqual(['1500-0', 500])
  lane.read(entries(1_501, 500))
  expect(lane.room(0, 2_000, mib)).toBe(0)
  expect(lane.settle(500)).toBe(false)
  expect([lane.after, lane.room(0, 2_000, mib)]).toEqual(['2000-0', 500])
  // All is taken out: the first that is left is the next.
  expect(lane.settle(1_500)).toBe(true)
  expect([lane.after, lane.room(0, 2_000, mib)]).toEqual([null, 2_000])
})

test('a lane reads no more bytes than there is room for, but always one entry', () => {
  const lane = running()
  lane.read(entries(1, 10, 100_000))
  expect(lane.room(0, 2_000, mib)).toBe(10)
  expect(lane.room(0, 2_000, 1_000)).toBe(1)
})

test('a lane that was stopped waits for all that is on its way, then begins with the first', () => {
  const lane = running()
  lane.read(entries(1, 20))
  const { turn } = lane
  lane.stop()
  expect(lane.turn).not.toBe(turn)
  expect(lane.room(0, 2_000, mib)).toBe(0)
  lane.settle(10)
  expect([lane.after, lane.room(0, 2_000, mib)]).toEqual(['20-0', 0])
  lane.settle(10)
  expect([lane.after, lane.isStopped]).toEqual([null, false])
  expect(lane.room(0, 2_000, mib)).toBeGreaterThan(0)
})

test('until something was delivered, and with suspects, one lot is on its way at a time', () => {
  const lane = new Lane(0)
  lane.read(entries(1, 5))
  expect(lane.room(0, 2_000, mib)).toBe(0)
  lane.settle(5)
  lane.isCareful = false
  lane.suspects.set('7-0', 0)
  expect(lane.room(0, 2_000, mib)).toBe(1)
  lane.read(entries(7, 1))
  expect(lane.room(0, 2_000, mib)).toBe(0)
})

test('a lane that is backing off, left or lost is not read', () => {
  const lane = running()
  lane.notBefore = 10
  expect([lane.room(9, 2_000, mib), lane.room(10, 2_000, mib)]).toEqual([0, 2_000])
  lane.isLeaving = true
  expect(lane.room(10, 2_000, mib)).toBe(0)
  const lost = running()
  lost.isLost = true
  expect(lost.room(0, 2_000, mib)).toBe(0)
})
