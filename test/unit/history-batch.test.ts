import { describe, expect, test } from 'bun:test'
import type { ConsumedEvent } from '#consumers/define.ts'
import { historyOf } from '#consumers/history/handle.ts'
import { readRecord } from '#consumers/read-record.ts'
import { type Fields, placed, recordFor, Teller, textRecord } from '../contract/consumers-events.ts'

function consumed(events: Fields[]): ConsumedEvent[] {
  return events.map((event, offset) => {
    const reading = readRecord(placed(recordFor(event), offset), true)
    if (reading.is === 'bad') throw new Error(reading.message)
    return reading.consumed
  })
}

describe('what a batch says of history', () => {
  test('of two erasures of a session the later one counts, in whichever order they stand', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.erase()
    teller.chat()
    teller.erase()
    for (const events of [teller.events, teller.events.toReversed()]) {
      const { erasures } = historyOf(consumed(events))
      expect(erasures).toMatchObject([{ sessionId: 's1', epoch: 1_000, seq: 10 }])
    }
  })

  test('erasures of several sessions come by session, so that two batches never wait for each other', () => {
    const tellers = ['s2', 's3', 's1'].map((name) => new Teller(name))
    const events = tellers.map((teller) => teller.erase())
    const { erasures } = historyOf(consumed(events))
    expect(erasures.map(({ sessionId }) => sessionId)).toEqual(['s1', 's2', 's3'])
  })

  test('a failed answer keeps what `done` said of its failure, when the event has it', () => {
    const teller = new Teller('s1')
    teller.chat({ outcome: 'failed' })
    const answer = teller.events.at(-1) as Fields
    const error = {
      code: 'upstream_failed',
      errorType: 'timeout',
      message: 'The model took too long.',
    }
    const errorOf = (told: unknown) =>
      historyOf(consumed([{ ...answer, error: told }])).messages[0]?.error
    expect(errorOf(error)).toEqual(error)
    expect(errorOf({ ...error, upstream: 'more' })).toEqual(error)
    expect(errorOf(undefined)).toBeUndefined()
  })

  test('an event of a type that we do not know says nothing', () => {
    const event = new Teller('s1').tell('NOVELTY')
    const record = placed(textRecord('chat-events', 's1', JSON.stringify(event)), 0)
    const reading = readRecord(record, true)
    if (reading.is === 'bad') throw new Error(reading.message)
    expect(historyOf([reading.consumed])).toEqual({ sessions: [], messages: [], erasures: [] })
  })
})
