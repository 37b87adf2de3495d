import { beforeAll, describe, expect, test } from 'bun:test'
import type { Clock } from '#consumers/clock.ts'
import type { NewRecord } from '#eventlog/event-log.ts'
import { dlqTopic, topics } from '#events/topics.ts'
import { type Fields, recordFor, Teller, textRecord } from '../contract/consumers-events.ts'
import { postgresParts, type StoredParts } from '../contract/consumers-parts.ts'
import { ReplayCaller, replaysOf } from '../contract/consumers-replay.ts'

let parts: StoredParts
let caller: ReplayCaller
beforeAll(async () => {
  parts = await postgresParts()
  caller = new ReplayCaller(parts)
})

let dlqs = 0
/** A topic of a test's own: those of dead letters are made by writing to them. */
const newTopic = () => {
  dlqs += 1
  return dlqTopic(topics.stream, `group-${dlqs}`)
}
const connected = { transport: 'ws', connectionId: 'c' }
const at = (ms: number, sessionId = 's', fields: Record<string, unknown> = {}): Fields =>
  new Teller(sessionId, { atMs: ms - 1 }).tell('CLIENT_CONNECTED', { ...connected, ...fields })
const into = (topic: string, event: Fields, partition = 0): NewRecord => ({
  ...recordFor(event),
  topic,
  partition,
})
const produce = (topic: string, events: Fields[], partition = 0) =>
  parts.eventLog.produce(events.map((event) => into(topic, event, partition)))
const offsetsOf = (body: { events: { _replay: { offset: number } }[] }) =>
  body.events.map(({ _replay }) => _replay.offset)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)
const hourMs = 3_600_000

describe('the replay of a topic', () => {
  test('is by time: from inclusive, to exclusive, over all partitions in one order', async () => {
    const topic = newTopic()
    const startMs = Math.floor(Date.now() / 1_000) * 1_000 - hourMs
    for (const partition of [0, 1]) {
      const times = upTo(10).map((index) => startMs + 1_000 * (2 * index + partition))
      await produce(
        topic,
        times.map((ms) => at(ms, `s${partition}`)),
        partition,
      )
    }
    const iso = (seconds: number) => new Date(startMs + seconds * 1_000).toISOString()
    const body = await caller.json(`topics/${topic}?from=${iso(3)}&to=${iso(8)}`)
    expect(body.events.map((event) => event['timestamp'])).toEqual([3, 4, 5, 6, 7].map(iso))
    expect(body).toMatchObject({ status: 200, count: 5, truncated: false })
    expect([body.ends['0'], body.ends['1'], body.ends['2']]).toEqual([10, 10, 0])
    expect(body.missing).toBeUndefined()
    expect((await caller.json(`topics/${topic}?from=-2h`)).count).toBe(20)
    expect((await caller.json(`topics/${topic}?from=-1s`)).count).toBe(0)
  })

  test('can be of one type, one session, one user', async () => {
    const topic = newTopic()
    const ada = new Teller('ada-1', { userId: 'ada' })
    const bob = new Teller('bob-1', { userId: 'bob' })
    for (const teller of [ada, bob]) {
      teller.chat()
      teller.chat({ outcome: 'failed' })
    }
    await produce(topic, [...ada.events, ...bob.events])
    const count = async (query: string) => (await caller.json(`topics/${topic}?${query}`)).count
    expect(await count('eventType=STREAM_ERROR')).toBe(2)
    expect(await count('userId=bob')).toBe(11)
    expect(await count('sessionId=ada-1')).toBe(11)
    expect(await count('eventType=CHAT_MESSAGE&userId=ada')).toBe(4)
    expect(await count('sessionId=ada-1&userId=bob')).toBe(0)
  })

  test('cut off by its limit says where each partition goes on', async () => {
    const topic = newTopic()
    const nowMs = Date.now() - hourMs
    await produce(
      topic,
      upTo(20).map((index) => at(nowMs + index * 3, 'a')),
      0,
    )
    await produce(
      topic,
      upTo(30).map((index) => at(nowMs + index * 2 + 1, 'b')),
      3,
    )
    const first = await caller.json(`topics/${topic}?limit=17`)
    expect(first).toMatchObject({ count: 17, truncated: true })
    const seen = new Set(first.events.map(({ eventId }) => eventId))
    for (const [partition, offset] of Object.entries(first.next ?? {})) {
      const rest = await caller.json(`topics/${topic}/partitions/${partition}?from=${offset}`)
      for (const { eventId } of rest.events) {
        expect(seen.has(eventId)).toBe(false)
        seen.add(eventId)
      }
    }
    expect(seen.size).toBe(50)
  })

  test('has at most a thousand events as JSON, all of them as lines', async () => {
    const topic = newTopic()
    const nowMs = Date.now() - hourMs
    await produce(
      topic,
      upTo(1_500).map((index) => at(nowMs + index)),
    )
    expect(await caller.json(`topics/${topic}`)).toMatchObject({ count: 1_000, truncated: true })
    const lines = await caller.lines(`topics/${topic}`)
    expect(lines).toHaveLength(1_501)
    expect(lines.at(-1)).toEqual({ _replayEnd: { count: 1_500, complete: true, missing: [] } })
  })

  test('ends where the log ended when it began, whatever comes meanwhile', async () => {
    const topic = newTopic()
    const nowMs = Date.now() - hourMs
    const long = { note: 'x'.repeat(2_000) }
    await produce(
      topic,
      upTo(300).map((index) => at(nowMs + index, 's', long)),
    )
    const response = await caller.ask(`topics/${topic}`, { accept: 'application/x-ndjson' })
    await produce(
      topic,
      upTo(300).map((index) => at(nowMs + 500 + index)),
    )
    const text = await response.text()
    expect(text.trimEnd().split('\n')).toHaveLength(301)
  })

  test('as events resumes behind any of them, over all partitions', async () => {
    const topic = newTopic()
    const nowMs = Date.now() - hourMs
    // Times go back within a partition, and are the same in several.
    const times = [5, 1, 9, 9, 3, 12, 12, 7]
    for (const partition of [0, 1, 2]) {
      await produce(
        topic,
        times.map((ms) => at(nowMs + ms * 10 + partition)),
        partition,
      )
    }
    const frames = await caller.frames(`topics/${topic}`)
    expect(frames).toHaveLength(25)
    for (const [index, frame] of frames.slice(0, -1).entries()) {
      const { partition, offset } = frame.data['_replay'] as Record<string, number>
      expect(frame.id).toBe(`${partition}:${offset}`)
      const rest = await caller.frames(`topics/${topic}`, String(frame.id))
      expect(rest.slice(0, -1)).toEqual(frames.slice(index + 1, -1))
    }
    expect(await caller.frames(`topics/${topic}`, 'malformed')).toHaveLength(25)
  })

  test('keeps the original pace when asked to, or a faster one', async () => {
    const topic = newTopic()
    const nowMs = Date.now() - hourMs
    await produce(
      topic,
      [0, 4_000, 64_000].map((ms) => at(nowMs + ms)),
    )
    for (const [speed, total] of [
      ['1', 64_000],
      ['10', 6_400],
      ['0', 0],
    ] as const) {
      const clock = new PacingClock()
      const response = await new ReplayCaller(parts, {}, clock).ask(
        `topics/${topic}?speed=${speed}`,
        {
          accept: 'text/event-stream',
        },
      )
      const text = await response.text()
      expect(clock.sleptMs).toBe(total)
      // A silence that long would be cut by whatever stands between.
      expect(text.match(/: ping/g)?.length ?? 0).toBe(speed === '1' ? 3 : 0)
    }
  })

  test('shows an auditor the events of the own tenant only', async () => {
    const topic = newTopic()
    const theirs = new Teller('acme-1', { tenantId: 'acme' })
    theirs.chat()
    await produce(topic, [...theirs.events, at(Date.now())])
    await parts.eventLog.produce([{ ...textRecord(topic, 'k', 'broken'), partition: 0 }])
    const seenBy = async (who: object) =>
      (await new ReplayCaller(parts, who).json(`topics/${topic}`)).events.map(
        (event) => event['tenantId'] ?? event._raw,
      )
    const raw = Buffer.from('broken').toString('base64')
    expect(await seenBy({ tenantId: 'acme' })).toEqual(Array(6).fill('acme'))
    expect(await seenBy({ tenantId: 'other' })).toEqual([])
    expect(await seenBy({})).toEqual(['default', raw])
  })

  test('gives what is no JSON object as base64, also where it is nothing at all', async () => {
    const topic = newTopic()
    const values = ['no json', '[1]', null]
    await parts.eventLog.produce(
      values.map((value) => ({ ...textRecord(topic, 'k', value), partition: 0 })),
    )
    const body = await caller.json(`topics/${topic}`)
    const place = (offset: number) => ({ topic, partition: 0, offset })
    expect(body.events as unknown[]).toEqual([
      { _raw: Buffer.from('no json').toString('base64'), _replay: place(0) },
      { _raw: Buffer.from('[1]').toString('base64'), _replay: place(1) },
      { _raw: null, _replay: place(2) },
    ])
    const frames = await caller.frames(`topics/${topic}`)
    expect(frames.map(({ event }) => event)).toEqual(['raw', 'raw', 'raw', 'end'])
  })

  test('says what retention has deleted of the time asked for', async () => {
    const topic = newTopic()
    const nowMs = Date.now()
    await produce(
      topic,
      upTo(5).map((index) => at(nowMs - 400 * 24 * hourMs + index)),
    )
    await produce(
      topic,
      upTo(5).map((index) => at(nowMs - hourMs + index)),
    )
    while (parts.store.trim(nowMs) > 0);
    const all = await caller.json(`topics/${topic}`)
    expect(all).toMatchObject({ count: 5, missing: [{ partition: 0, from: 0, to: 5 }] })
    const recent = await caller.json(`topics/${topic}?from=-30m`)
    expect(recent).toMatchObject({ count: 0 })
    expect(recent.missing).toBeUndefined()
    const lines = await caller.lines(`topics/${topic}?from=-2h`)
    expect(lines.at(-1)).toEqual({
      _replayEnd: { count: 5, complete: false, missing: [{ partition: 0, from: 0, to: 5 }] },
    })
  })

  test('that does not exist is not found', async () => {
    for (const path of [
      'topics/nothing',
      'topics/nothing/partitions/0',
      `topics/${topics.chat}/partitions/16`,
    ]) {
      const body = await caller.json(path)
      expect([path, body.status, body.error?.code]).toEqual([path, 404, 'not_found'])
    }
    expect(await replaysOf(parts, 'nobody')).toEqual([])
  })
})

describe('the replay of a partition', () => {
  test('is of offsets: from inclusive, to exclusive; past the end is nothing', async () => {
    const topic = newTopic()
    await produce(
      topic,
      upTo(10).map((index) => at(Date.now() + index)),
      2,
    )
    const path = `topics/${topic}/partitions/2`
    expect(offsetsOf(await caller.json(`${path}?from=3&to=6`))).toEqual([3, 4, 5])
    expect(offsetsOf(await caller.json(path))).toEqual(upTo(10))
    expect(offsetsOf(await caller.json(`${path}?from=8`))).toEqual([8, 9])
    expect(offsetsOf(await caller.json(`${path}?to=2`))).toEqual([0, 1])
    expect(offsetsOf(await caller.json(`${path}?from=4&to=4`))).toEqual([])
    const past = await caller.json(`${path}?from=500&to=600`)
    expect(past).toMatchObject({
      status: 200,
      events: [],
      count: 0,
      truncated: false,
      ends: { 2: 10 },
    })
    const limited = await caller.json(`${path}?from=2&limit=3`)
    expect(limited).toMatchObject({ count: 3, truncated: true, next: { 2: 5 } })
    expect(offsetsOf(await caller.json(`${path}?cursor=2:6`))).toEqual([7, 8, 9])
  })

  test('says which of them are gone; 410 with what is left when all are', async () => {
    const topic = newTopic()
    const nowMs = Date.now()
    await produce(
      topic,
      upTo(5).map((index) => at(nowMs - 400 * 24 * hourMs + index)),
    )
    await produce(
      topic,
      upTo(5).map((index) => at(nowMs + index)),
    )
    while (parts.store.trim(nowMs) > 0);
    const path = `topics/${topic}/partitions/0`
    const gone = await caller.json(`${path}?from=1&to=4`)
    expect(gone.status).toBe(410)
    expect(gone.error).toMatchObject({ code: 'gone', available: { from: 5, to: 10 } })
    expect((await caller.json(`${path}?from=1&to=5`)).status).toBe(410)
    const partly = await caller.json(`${path}?from=3&to=7`)
    expect(offsetsOf(partly)).toEqual([5, 6])
    expect(partly.missing).toEqual([{ partition: 0, from: 3, to: 5 }])
    const kept = await caller.json(path)
    expect(offsetsOf(kept)).toEqual([5, 6, 7, 8, 9])
    expect(kept.missing).toBeUndefined()
  })

  test('says what retention takes while it is under way', async () => {
    const topic = newTopic()
    const nowMs = Date.now()
    const oldMs = nowMs - 400 * 24 * hourMs
    const long = { note: 'x'.repeat(500) }
    await produce(
      topic,
      upTo(1_200).map((index) => at(oldMs + index, 's', long)),
    )
    await produce(topic, [at(nowMs)])
    const path = `topics/${topic}/partitions/0`
    const response = await caller.ask(path, { accept: 'application/x-ndjson' })
    const reader = response.body?.getReader()
    const decoder = new TextDecoder()
    let text = decoder.decode((await reader?.read())?.value, { stream: true })
    while (parts.store.trim(nowMs) > 0);
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      text += decoder.decode(part.value, { stream: true })
    }
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, object>)
    const end = lines.at(-1)?.['_replayEnd'] as {
      complete: boolean
      missing: Record<string, number>[]
    }
    const [missing] = end.missing
    expect(end.complete).toBe(false)
    expect(missing?.['to']).toBe(1_200)
    expect(lines).toHaveLength(1 + Number(missing?.['from']) + 1)
  })
})

/** Time passes only by sleeping. */
class PacingClock implements Clock {
  sleptMs = 0
  readonly #startMs = Date.now()

  now(): number {
    return this.#startMs + this.sleptMs
  }

  random(): number {
    return 0.5
  }

  async sleep(ms: number): Promise<void> {
    this.sleptMs += ms
  }
}
