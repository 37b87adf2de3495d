import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { stepOf } from '#consumers/step.ts'
import { closeEvent, decodeRecord, eventTypeOf, recordOf } from '#events/codec.ts'
import { eventTypes } from '#events/event.ts'
import { topicOf } from '#events/topics.ts'

interface Fixture {
  topic: string
  key: string
  timestamp: number
  headers: [string, string][]
  value: string
}

const folder = join(import.meta.dir, '../fixtures/events')
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array) => new TextDecoder().decode(value)

function fixtureOf(eventType: string): Fixture {
  const name = `${eventType.toLowerCase().replaceAll('_', '-')}.json`
  return JSON.parse(readFileSync(join(folder, name), 'utf8'))
}

const eventOf = (eventType: string): Record<string, unknown> =>
  JSON.parse(fixtureOf(eventType).value)

const decodeJson = (value: unknown) => decodeRecord({ value: bytes(JSON.stringify(value)) })

/** The event of the fixture with some fields others; `undefined` takes a field away. */
const decodeWith = (eventType: string, fields: Record<string, unknown>) =>
  decodeJson({ ...eventOf(eventType), ...fields })

test('there is a fixture of every event type, and no other', () => {
  expect(readdirSync(folder)).toHaveLength(eventTypes.length)
})

describe.each([...eventTypes])('%s', (eventType) => {
  const fixture = fixtureOf(eventType)

  test('is written as the fixture has it, byte for byte', () => {
    const { epoch, seq, fromSeq, previous, ...open } = JSON.parse(fixture.value)
    const json = JSON.stringify(open)
    const isStep = seq !== undefined
    const traceparent = fixture.headers.find(([name]) => name === 'traceparent')?.[1]
    const record = recordOf({
      eventId: open.eventId,
      eventType,
      topic: topicOf(eventType),
      key: open.sessionId,
      timestamp: Date.parse(open.timestamp),
      nodeId: open.nodeId,
      json: isStep ? closeEvent(json.slice(0, -1), { epoch, seq, fromSeq, previous }) : json,
      ...(traceparent !== undefined && { traceparent }),
    })
    expect({
      topic: record.topic,
      key: text(record.key),
      timestamp: record.timestamp,
      headers: record.headers.map(([name, value]) => [name, text(value)]),
      value: text(record.value),
    }).toEqual(fixture)
  })

  test('is read as the event of the fixture', () => {
    const event = JSON.parse(fixture.value)
    expect(decodeRecord({ value: bytes(fixture.value) })).toEqual({ is: 'event', event })
  })

  test('names its type in a header', () => {
    const headers = fixture.headers.map(([name, value]) => [name, bytes(value)] as const)
    expect(eventTypeOf({ headers })).toBe(eventType)
  })

  test('keeps a field that nobody knows', () => {
    const decoded = decodeWith(eventType, { later: { a: [1, null] } })
    expect(decoded).toMatchObject({ is: 'event', event: { later: { a: [1, null] } } })
  })

  test.each([
    { eventId: 'not-a-uuid' },
    { eventId: undefined },
    { schemaVersion: 2 },
    { schemaVersion: '1' },
    { schemaVersion: undefined },
    { timestamp: 'yesterday' },
    { timestamp: 1_785_748_542_517 },
    { tenantId: '' },
    { userId: undefined },
    { sessionId: 'a b' },
    { sessionId: 'x'.repeat(129) },
    { conversationId: '' },
    { nodeId: 7 },
  ])('with %j is bad by its schema', (fields) => {
    const decoded = decodeWith(eventType, fields)
    expect(decoded).toMatchObject({ is: 'bad', errorType: 'schema' })
    expect(decoded).toMatchObject({
      message: expect.stringContaining(Object.keys(fields)[0] ?? ''),
    })
  })
})

describe('fields of a known type', () => {
  test.each([
    ['SESSION_STARTED', { seq: 0 }],
    ['SESSION_STARTED', { epoch: undefined }],
    ['STREAM_STARTED', { model: undefined }],
    ['STREAM_STARTED', { userMessageId: 'x' }],
    ['CHUNK_RECEIVED', { fromSeq: 6 }],
    ['CHUNK_RECEIVED', { fromChunkIndex: 4 }],
    ['CHUNK_RECEIVED', { chunkIndex: 1.5 }],
    ['CHUNK_RECEIVED', { text: 5 }],
    ['STREAM_COMPLETED', { totalChunks: undefined }],
    ['STREAM_COMPLETED', { chunkSizes: [-1] }],
    ['STREAM_COMPLETED', { usage: { inputTokens: 'many' } }],
    ['STREAM_CANCELLED', { reason: undefined }],
    ['STREAM_ERROR', { outcome: 'completed' }],
    ['STREAM_ERROR', { errorType: undefined }],
    ['RECOVERY_ATTEMPT', { success: 'yes' }],
    ['CLIENT_CONNECTED', { connectionId: undefined }],
    ['CLIENT_DISCONNECTED', { code: 'gone' }],
    ['CHAT_MESSAGE', { role: 'robot' }],
    ['CHAT_MESSAGE', { status: 'ended' }],
    ['CHAT_MESSAGE', { content: null }],
    ['CHAT_MESSAGE', { parts: [{ part: 0 }] }],
    ['HISTORY_ERASED', { seq: undefined }],
  ])('%s with %j is bad by its schema', (eventType, fields) => {
    const decoded = decodeWith(eventType, fields)
    expect(decoded).toMatchObject({ is: 'bad', errorType: 'schema' })
  })

  test.each([
    ['CHUNK_RECEIVED', { text: undefined }],
    ['CHAT_MESSAGE', { content: undefined, parts: undefined, metadata: undefined }],
    ['STREAM_CANCELLED', { totalChunks: undefined, wordCount: undefined, chunkSizes: undefined }],
    ['STREAM_COMPLETED', { timeToFirstChunkMs: undefined, finishReason: undefined, usage: {} }],
    ['STREAM_CANCELLED', { reason: 'a reason of a later version' }],
  ])('%s is good with %j', (eventType, fields) => {
    expect(decodeWith(eventType, fields).is).toBe('event')
  })
})

describe('the end of a value', () => {
  test.each([
    [{ epoch: 1_785_748_542_001_337, seq: 5 }, 5],
    [{ epoch: 1, seq: 5, fromSeq: 2 }, 2],
    [{ epoch: 2, seq: 1, previous: { epoch: 1, seq: 5 } }, 1],
    [{ epoch: 2, seq: 4, fromSeq: 1, previous: { epoch: 1, seq: 5 } }, 1],
  ])('tells the step %j, and is JSON', (closing, fromSeq) => {
    const json = closeEvent('{"a":1', closing)
    expect(JSON.parse(json)).toEqual({ a: 1, ...closing })
    const place = { topic: 't', partition: 0, offset: 0, key: null, headers: [], timestamp: 0 }
    const { epoch, seq } = closing
    expect(stepOf({ ...place, value: bytes(json) })).toEqual({ epoch, seq, fromSeq })
  })
})

describe('a value that is no event', () => {
  test.each([
    ['null', null],
    ['no bytes', ''],
    ['no JSON', '{"eventId":'],
    ['a number', '7'],
    ['a list', '[{}]'],
    ['the JSON null', 'null'],
  ])('%s cannot be decoded', (_name, value) => {
    const record = { value: value === null ? null : bytes(value) }
    expect(decodeRecord(record)).toMatchObject({ is: 'bad', errorType: 'decode' })
  })

  test('bytes that are no UTF-8 cannot be decoded', () => {
    const value = bytes(fixtureOf('CHUNK_RECEIVED').value)
    value[value.indexOf(0xc3)] = 0xff
    expect(decodeRecord({ value })).toMatchObject({ is: 'bad', errorType: 'decode' })
  })

  test('what is wrong is told without the text that it is wrong in', () => {
    for (const value of ['{"content":"secret" oops', 'secret']) {
      expect(JSON.stringify(decodeRecord({ value: bytes(value) }))).not.toContain('secret')
    }
    expect(JSON.stringify(decodeWith('CHAT_MESSAGE', { role: 'secret' }))).not.toContain('secret')
  })

  test('an object without an envelope is bad by its schema', () => {
    expect(decodeJson({ hello: 1 })).toMatchObject({ is: 'bad', errorType: 'schema' })
    expect(decodeWith('CHAT_MESSAGE', { eventType: 5 })).toMatchObject({ errorType: 'schema' })
  })
})

describe('a type that this version does not know', () => {
  test('is unknown when its envelope is sound, and whole', () => {
    const value = { ...eventOf('CLIENT_CONNECTED'), eventType: 'TOOL_CALLED', tool: 'search' }
    expect(decodeJson(value)).toEqual({ is: 'unknown', value } as never)
  })

  test.each([{ schemaVersion: 2 }, { sessionId: '' }, { eventId: 'x' }])(
    'is bad with %j',
    (fields) => {
      const decoded = decodeWith('CLIENT_CONNECTED', { eventType: 'TOOL_CALLED', ...fields })
      expect(decoded).toMatchObject({ is: 'bad', errorType: 'schema' })
    },
  )

  test.each(['constructor', '__proto__', 'toString'])('may have the name %s', (eventType) => {
    expect(decodeWith('CLIENT_CONNECTED', { eventType }).is).toBe('unknown')
  })
})

describe('the headers', () => {
  test('name no type when there is no such header', () => {
    expect(eventTypeOf({ headers: [['content-type', bytes('application/json')]] })).toBeUndefined()
  })

  test('name the last of several types', () => {
    const headers = [['ce_type', bytes('A')] as const, ['ce_type', bytes('B')] as const]
    expect(eventTypeOf({ headers })).toBe('B')
  })

  test('tell the node that wrote each event', () => {
    const sourceOf = (nodeId: string) => {
      const record = recordOf({
        eventId: 'e',
        eventType: 'LATER',
        topic: 't',
        key: 'k',
        timestamp: 0,
        nodeId,
        json: '{}',
      })
      return text(record.headers.find(([name]) => name === 'ce_source')?.[1] ?? bytes(''))
    }
    expect(['a', 'b', 'a'].map(sourceOf)).toEqual(['/gateway/a', '/gateway/b', '/gateway/a'])
  })
})
