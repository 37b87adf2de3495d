import { describe, expect, test } from 'bun:test'
import { backoffMs, type Clock, systemClock } from '#consumers/clock.ts'
import { type ConsumerDefinition, defineConsumer } from '#consumers/define.ts'
import { timeOfEvent } from '#consumers/event-time.ts'
import { runConsumer } from '#consumers/run.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import { timeOfUuid, uuidv7 } from '#runtime/ids.ts'
import { quietLog } from '#runtime/log.ts'

const handle = () => Promise.resolve()
const right: ConsumerDefinition = { name: 'mine', groupId: 'g', topics: ['t'], handle }

describe('a consumer of one’s own', () => {
  test('is taken as it is written', () => {
    expect(defineConsumer(right)).toBe(right)
  })

  test.each([
    ['name', { name: '' }],
    ['groupId', { groupId: 7 }],
    ['topics', { topics: [] }],
    ['topics', { topics: 't' }],
    ['handle', { handle: null }],
    ['maxAttempts', { maxAttempts: 0 }],
    ['batchSize', { batchSize: 1.5 }],
    ['transactional', { once: true, transactional: false }],
  ])('names the field %s that is wrong', (field, wrong) => {
    const definition = { ...right, ...wrong } as unknown as ConsumerDefinition
    expect(() => defineConsumer(definition)).toThrow(`defineConsumer: ${field} must be`)
  })

  test('with `once` does not start without a database', () => {
    const options = {
      eventLog: {} as EventLog,
      logger: quietLog,
      signal: AbortSignal.abort(),
    }
    expect(() => runConsumer({ ...right, once: true }, options)).toThrow('mine needs a database')
  })
})

describe('waiting', () => {
  const at = (random: number): Clock => ({ ...systemClock, random: () => random })

  test('grows from 100 ms to 30 s, half of it by chance', () => {
    expect([1, 2, 3, 9, 10, 500].map((failures) => backoffMs(failures, at(1)))).toEqual([
      ...[100, 200, 400, 25_600],
      ...[30_000, 30_000],
    ])
    expect(backoffMs(1, at(0))).toBe(50)
  })

  test('ends at once when it is told to', async () => {
    const stop = new AbortController()
    const waiting = systemClock.sleep(60_000, stop.signal)
    stop.abort()
    await waiting
    await systemClock.sleep(60_000, stop.signal)
  })
})

test('an event’s time is the instant inside its id; where that holds none, what it says', () => {
  const eventId = uuidv7(1_700_000_000_123)
  const timestamp = '2026-01-01T00:00:00.000Z'
  expect(timeOfEvent({ eventId, timestamp })).toBe(timeOfUuid(eventId))
  expect(timeOfEvent({ eventId, timestamp })).toBe(1_700_000_000_123)
  expect(timeOfEvent({ eventId: crypto.randomUUID(), timestamp })).toBe(Date.parse(timestamp))
})
