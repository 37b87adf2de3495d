import { describe, expect, test } from 'bun:test'
import { Coverage } from '#consumers/coverage.ts'
import { replayedOf } from '#consumers/replay/replayed.ts'
import { inOrder, missingSteps } from '#consumers/replay/session-order.ts'
import { type Fields, placed, recordFor, Teller } from '../contract/consumers-events.ts'

const read = (events: Fields[]) =>
  events.map((event, at) => replayedOf(placed(recordFor(event), at)))
const types = (events: Fields[]) =>
  inOrder(read(events)).map(({ event }) => `${event?.['seq']} ${event?.['eventType']}`)

describe('the order of a session', () => {
  test('is that of its steps, whatever order the records stand in', () => {
    const teller = new Teller('s1')
    teller.chat()
    const told = [
      '1 SESSION_STARTED',
      '1 CHAT_MESSAGE',
      '1 STREAM_STARTED',
      '3 CHUNK_RECEIVED',
      '4 STREAM_COMPLETED',
      '4 CHAT_MESSAGE',
    ]
    expect(types(teller.events)).toEqual(told)
    expect(types(teller.events.toReversed())).toEqual(told)
  })

  test('is by epoch first, though the older one was written later', () => {
    const teller = new Teller('s1')
    teller.epoch = 2_000
    teller.chat()
    const newer = teller.events.length
    teller.epoch = 1_000
    teller.seq = 0
    teller.chat()
    const epochs = inOrder(read(teller.events)).map(({ event }) => event?.['epoch'])
    expect(epochs.slice(0, newer).every((epoch) => epoch === 1_000)).toBe(true)
    expect(epochs.slice(newer).every((epoch) => epoch === 2_000)).toBe(true)
  })

  test('puts events of no step between the others by time', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.tell('RECOVERY_ATTEMPT')
    teller.chat()
    const order = types(teller.events.toReversed())
    expect(order.indexOf('undefined RECOVERY_ATTEMPT')).toBe(6)
  })

  test('has each event once, however often it was written', () => {
    const teller = new Teller('s1')
    teller.chat()
    expect(types([...teller.events, ...teller.events])).toHaveLength(6)
  })
})

describe('missing steps', () => {
  const all = () => {
    const teller = new Teller('s1')
    teller.chat({ answer: ['a', 'b', 'c'] })
    teller.chat({ answer: ['d'] })
    return teller.events
  }

  test('are none of a whole session, a running one included', () => {
    expect(missingSteps(read(all()), [])).toEqual([])
    expect(missingSteps(read(all().slice(0, 9)), [])).toEqual([])
  })

  test('are those that no record tells, from 1', () => {
    const events = all()
    const isKept = ({ eventType, seq }: Fields) => eventType !== 'CHUNK_RECEIVED' || seq !== 4
    expect(missingSteps(read(events.filter(isKept)), [])).toEqual([
      { epoch: 1_000, fromSeq: 2, toSeq: 4 },
    ])
    const late = events.filter(({ seq }) => Number(seq) > 5)
    expect(missingSteps(read(late), [])).toEqual([{ epoch: 1_000, fromSeq: 1, toSeq: 5 }])
  })

  test('reach up to the last step that anybody knows of', () => {
    expect(missingSteps(read(all()), [{ epoch: 1_000, seq: 10 }])).toEqual([
      { epoch: 1_000, fromSeq: 9, toSeq: 10 },
    ])
    const teller = new Teller('s1')
    teller.epoch = 3_000
    teller.seq = 1
    teller.step('CHAT_MESSAGE', { previous: { epoch: 1_000, seq: 2 } })
    expect(missingSteps(read(teller.events), [])).toEqual([{ epoch: 1_000, fromSeq: 1, toSeq: 2 }])
  })
})

describe('coverage', () => {
  test('joins runs that touch or overlap and tells what is between', () => {
    const coverage = new Coverage()
    for (const [from, to] of [
      [5, 6],
      [1, 2],
      [9, 9],
      [3, 3],
      [6, 7],
    ] as const)
      coverage.add(from, to)
    expect(coverage.missing(1, 12)).toEqual([
      { from: 4, to: 4 },
      { from: 8, to: 8 },
      { from: 10, to: 12 },
    ])
    coverage.add(1, 12)
    expect(coverage.missing(1, 12)).toEqual([])
    expect(coverage.top).toBe(12)
  })
})
