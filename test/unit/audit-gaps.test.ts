import { describe, expect, test } from 'bun:test'
import { type Gap, GapDetector } from '#consumers/audit/gaps.ts'
import { stepOf } from '#consumers/step.ts'
import type { LogRecord } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import { type Fields, placed, recordFor, Teller, textRecord } from '../contract/consumers-events.ts'

function detector() {
  const gaps: Gap[] = []
  const seen = new GapDetector([topics.stream, topics.chat], (gap) => gaps.push(gap))
  let offset = 0
  return {
    gaps,
    forget: () => seen.forget(),
    see: (...events: Fields[]) => {
      offset += 1
      seen.see(events.map((event) => placed(recordFor(event), offset)))
    },
  }
}

describe('gaps', () => {
  test('two whole chats have none, in whichever order the topics are read', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.chat()
    const byTopic = teller.events.toSorted(
      (a, b) => Number(isChat(a)) - Number(isChat(b)) || Number(a['seq']) - Number(b['seq']),
    )
    for (const order of [teller.events, byTopic, [...byTopic].reverse()]) {
      const { gaps, see } = detector()
      see(...order)
      expect(gaps).toEqual([])
    }
  })

  test('a lost run of chunks is told once both topics are past it, and once only', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.chat({ answer: ['a', 'b', 'c'] })
    teller.chat()
    const lost = teller.events.filter(({ eventType }) => eventType === 'CHUNK_RECEIVED')[1]
    const { gaps, see } = detector()
    for (const event of teller.events) if (event !== lost) see(event)
    see(...teller.events.slice(-2))
    expect(gaps).toEqual([{ sessionId: 's1', epoch: 1_000, fromSeq: 6, toSeq: 8 }])
  })

  test('a session is known as long as not too many others have come since', () => {
    const { gaps, see } = detector()
    const told = (after: number, name: string) => {
      const teller = new Teller(name)
      for (let chat = 0; chat < 3; chat += 1) teller.chat()
      const lost = teller.events.filter(({ eventType }) => eventType === 'CHUNK_RECEIVED')[1]
      const events = teller.events.filter((event) => event !== lost)
      see(...events.slice(0, 7))
      const other = new Teller('other').step('SESSION_STARTED', { seq: 1 })
      for (let at = 0; at < after; at += 1) see({ ...other, sessionId: `${name}-${at}` })
      see(...events.slice(7))
      return gaps.splice(0)
    }
    expect(told(19_000, 's1')).toHaveLength(1)
    expect(told(19_999, 's2')).toHaveLength(1)
    expect(told(60_000, 's3')).toEqual([])
  })

  test('a duplicate fills no gap and makes none', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.chat()
    const { gaps, see } = detector()
    see(...teller.events, ...teller.events)
    expect(gaps).toEqual([])
  })

  test('one that begins to read in the middle says nothing of what was before', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.chat()
    teller.chat()
    const { gaps, see } = detector()
    see(...teller.events.slice(6))
    expect(gaps).toEqual([])
  })

  test('a new epoch counts from its own first step', () => {
    const teller = new Teller('s1')
    teller.chat()
    teller.epoch += 5
    teller.seq = 0
    teller.chat()
    const { gaps, see } = detector()
    see(...teller.events)
    expect(gaps).toEqual([])
  })

  test('what is seen of a partition that went away is forgotten', () => {
    const teller = new Teller('s1')
    teller.chat()
    const missed = teller.events.length
    teller.chat()
    teller.chat()
    const { gaps, see, forget } = detector()
    see(...teller.events.slice(0, missed))
    forget()
    see(...teller.events.slice(missed + 6))
    expect(gaps).toEqual([])
  })
})

describe('steps of a record', () => {
  const of = (value: string) => stepOf(placed(textRecord('t', 'k', value), 0) as LogRecord)

  test('are read from the end of what a gateway wrote', () => {
    expect(of('{"a":1,"epoch":7,"seq":9}')).toEqual({ epoch: 7, fromSeq: 9, seq: 9 })
    expect(of('{"a":1,"epoch":7,"seq":9,"fromSeq":4}')).toEqual({ epoch: 7, fromSeq: 4, seq: 9 })
    const first = '{"a":1,"epoch":7,"seq":1,"previous":{"epoch":3,"seq":20}}'
    expect(of(first)).toEqual({ epoch: 7, fromSeq: 1, seq: 1 })
  })

  test('are found wherever another producer wrote them', () => {
    expect(of('{"seq":9,"epoch":7,"a":"x"}')).toEqual({ epoch: 7, fromSeq: 9, seq: 9 })
    expect(of(' {"epoch" : 7, "seq":9 , "fromSeq": 2} ')).toEqual({ epoch: 7, fromSeq: 2, seq: 9 })
  })

  test('are none of an event that is no step, nor of a broken one', () => {
    for (const value of ['{"a":1}', 'no json "seq":', '{"epoch":"7","seq":9}', 'null', '']) {
      expect(of(value)).toBeNull()
    }
  })
})

function isChat({ eventType }: Fields): boolean {
  return eventType === 'CHAT_MESSAGE' || eventType === 'HISTORY_ERASED'
}
