import { describe, expect, test } from 'bun:test'
import { ReplayError } from '#consumers/replay/replay-error.ts'
import { replayRequest } from '#consumers/replay/replay-request.ts'

const nowMs = Date.parse('2026-03-01T12:00:00.000Z')
const ask = (path: string, headers: Record<string, string> = {}) =>
  replayRequest(new Request(`http://h/api/replay/${path}`, { headers }), nowMs)

function refusal(path: string): string {
  try {
    ask(path)
  } catch (error) {
    if (error instanceof ReplayError) return `${error.status} ${error.details.field ?? error.code}`
    throw error
  }
  return 'accepted'
}

describe('what may be asked of a replay', () => {
  test.each([
    ['2026-03-01T10:00:00Z', '2026-03-01T10:00:00.000Z'],
    ['2026-03-01T10:00:00.123Z', '2026-03-01T10:00:00.123Z'],
    ['2026-03-01T12:00:00%2B02:00', '2026-03-01T10:00:00.000Z'],
    ['2026-03-01T12:00:00+02:00', '2026-03-01T10:00:00.000Z'],
    ['2026-03-01T10:00', '2026-03-01T10:00:00.000Z'],
    ['2026-03-01', '2026-03-01T00:00:00.000Z'],
    ['-1h', '2026-03-01T11:00:00.000Z'],
    ['-90s', '2026-03-01T11:58:30.000Z'],
    ['-7d', '2026-02-22T12:00:00.000Z'],
  ])('the time %s', (text, iso) => {
    const asked = ask(`topics/t?from=${text}`)
    expect(asked).toMatchObject({ of: 'topic', window: { fromMs: Date.parse(iso), toMs: null } })
  })

  test.each([
    ['topics/t?from=yesterday', '400 from'],
    ['topics/t?to=2026-13-01', '400 to'],
    ['topics/t?from=1h', '400 from'],
    ['topics/t?from=-1h&to=-2h', '400 to'],
    ['topics/t?limit=0', '400 limit'],
    ['topics/t?limit=10001', '400 limit'],
    ['topics/t?limit=ten', '400 limit'],
    ['topics/t?sessionId=a%20b', '400 sessionId'],
    ['topics/t?eventType=', '400 eventType'],
    ['topics/t?speed=fast', '400 speed'],
    ['topics/t?speed=-1', '400 speed'],
    ['topics/t?cursor=7', '400 cursor'],
    ['topics/t/partitions/0?from=-1', '400 from'],
    ['topics/t/partitions/0?from=1.5', '400 from'],
    ['topics/t/partitions/0?from=5&to=4', '400 to'],
    ['topics/t/partitions/x', '400 partition'],
    ['sessions/a%20b', '400 sessionId'],
    ['sessions/%ff', '400 sessionId'],
    [`sessions/${'x'.repeat(129)}`, '400 sessionId'],
    ['topics', '404 not_found'],
    ['sessions/a/b', '404 not_found'],
    ['topics/t/partitions/0?from=4&to=4', 'accepted'],
    ['sessions/a:b.c_d-e', 'accepted'],
  ])('%s is answered %s', (path, answer) => {
    expect(refusal(path)).toBe(answer)
  })

  test('only GET is served', () => {
    const request = new Request('http://h/api/replay/sessions/s', { method: 'POST' })
    expect(() => replayRequest(request, nowMs)).toThrow(ReplayError)
  })

  test.each([
    ['', 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['application/x-ndjson', 'ndjson'],
    ['Text/Event-Stream;q=0.9, */*', 'sse'],
  ])('Accept %p gives %s', (accept, format) => {
    expect(ask('sessions/s', { accept }).format).toBe(format as 'json')
  })

  test('Last-Event-ID wins over the cursor; a malformed one means from the start', () => {
    expect(ask('topics/t?cursor=1:5').after?.cursor).toEqual({ partition: 1, offset: 5 })
    const both = ask('topics/t?cursor=1:5', { 'last-event-id': '2:07' })
    expect(both.after).toEqual({ id: '2:07', cursor: { partition: 2, offset: 7 } })
    expect(ask('topics/t?cursor=1:5', { 'last-event-id': 'nonsense' }).after).toBeNull()
  })
})
