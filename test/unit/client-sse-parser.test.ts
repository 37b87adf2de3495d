import { expect, test } from 'bun:test'
import { type SseEvent, SseParser } from '#client/connection/sse-parser.ts'

function parse(...pieces: string[]) {
  const events: SseEvent[] = []
  const retries: number[] = []
  const parser = new SseParser(
    (event) => events.push(event),
    (ms) => retries.push(ms),
  )
  for (const piece of pieces) parser.push(piece)
  return { events, retries }
}

test('an event is its type, its data joined by LF and the last id', () => {
  const { events } = parse('event: chunk\nid: 7-1\ndata: a\ndata: b\n\ndata:c\n\n')
  expect(events).toEqual([
    { event: 'chunk', data: 'a\nb', id: '7-1' },
    { event: 'message', data: 'c', id: '7-1' },
  ])
})

test('LF, CR and CR LF end a line, wherever the network cuts', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    const text = `\uFEFFevent: x${end}data: 1${end}${end}: ping${end}data: 2${end}${end}retry: 30${end}x`
    for (let at = 0; at <= text.length; at++) {
      const { events, retries } = parse(text.slice(0, at), text.slice(at))
      expect(events.map(({ event, data }) => [event, data])).toEqual([
        ['x', '1'],
        ['message', '2'],
      ])
      expect(retries).toEqual([30])
    }
  }
})

test('comments, unknown fields, an event without data and a retry that is no number do nothing', () => {
  const { events, retries } = parse(': hello\n\nfoo: bar\nevent: x\n\nretry: soon\nid: a\0b\n\n')
  expect(events).toEqual([])
  expect(retries).toEqual([])
})
