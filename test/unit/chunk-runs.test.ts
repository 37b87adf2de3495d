import { expect, test } from 'bun:test'
import { Runs } from '#gateway/chat/answers/runs.ts'
import type { Run } from '#gateway/generations/steps.ts'

/** How many chunks each run tells, of one chunk each 100 ms for a minute. */
function runsOf(isCrowded: () => boolean, chunkEventMs = 1_000, text = 'word '): number[] {
  const session = { sessionId: 's', tenantId: 't', userId: 'u' }
  const closed: Run[] = []
  const runs = new Runs(
    {
      ...{ session, chunkEventMs, isCrowded, messageId: 'm', nodeId: 'n' },
      eventContent: 'full',
      now: () => 0,
    },
    0,
  )
  for (let index = 0; index < 600; index += 1) {
    const bytes = text.length
    runs.add({ kind: 'text', part: 0, text, bytes, atMs: index * 100 }, closed)
  }
  runs.close(closed)
  return closed.map(({ from, to }) => to - from)
}

test('a run tells what comes within its time', () => {
  expect(runsOf(() => false)).toEqual(Array.from({ length: 60 }, () => 10))
})

test('while the outbox is more than half full, runs are fewer and still end', () => {
  expect(runsOf(() => true)).toEqual(Array.from({ length: 6 }, () => 100))
})

test('a run that is long already ends as soon as the outbox has room', () => {
  let asked = 0
  const sizes = runsOf(() => {
    asked += 1
    return asked <= 30
  })
  expect(sizes[0]).toBeWithin(40, 42)
  expect(sizes[1]).toBe(10)
})

test('a crowded outbox gets no larger runs than a record holds, and each chunk by itself where that is asked for', () => {
  expect(Math.max(...runsOf(() => true, 1_000, 'x'.repeat(1_000)))).toBe(16)
  expect(runsOf(() => true, 0)).toHaveLength(600)
})
