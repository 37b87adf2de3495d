import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { closeCodes } from '#client/frames.ts'
import { errorStatus } from '#gateway/chat/errors.ts'
import { testGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

const secret = 'the secret words of somebody else'
const codes = Object.values(closeCodes) as number[]

const frame = fc.oneof(
  fc.json(),
  fc.string({ unit: 'binary' }),
  fc
    .record(
      {
        type: fc.constantFrom('chat', 'cancel', 'auth', 'ping', 'pong', 'nonsense'),
        content: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
        requestId: fc.oneof(fc.string(), fc.uuid(), fc.jsonValue()),
        messageId: fc.oneof(fc.string(), fc.uuid(), fc.jsonValue()),
        regenerate: fc.oneof(fc.uuid(), fc.jsonValue()),
        token: fc.oneof(fc.string(), fc.jsonValue()),
        options: fc.oneof(
          fc.jsonValue(),
          fc.record({ temperature: fc.double(), model: fc.string() }),
        ),
        metadata: fc.jsonValue(),
        __proto__: fc.jsonValue(),
      },
      { requiredKeys: ['type'] },
    )
    .map((value) => JSON.stringify(value)),
)

function isPing(text: string): boolean {
  try {
    return JSON.parse(text)?.type === 'ping'
  } catch {
    return false
  }
}

test('whatever frames a client sends, it gets frames and codes of the contract, and nobody else’s words', async () => {
  await using gateway = testGateway({ env: { RATE_CHATS_PER_MINUTE: '0' } })
  const as = await gateway.token('owner')
  await gateway.call('POST', '/api/chat', { as, body: { sessionId: 'theirs', message: secret } })
  let run = 0
  const property = fc.asyncProperty(
    fc.array(frame, { minLength: 1, maxLength: 12 }),
    async (sent) => {
      run += 1
      const client = new WsClient(gateway.url, { sessionId: `fuzz-${run}` })
      await client.live()
      for (const text of sent) client.socket.send(text)
      client.send({ type: 'ping' })
      // The answer to the last one: what was sent may hold pings too, and a refusal closes a moment after it is told.
      const pongs = sent.filter(isPing).length + 1
      await until(() => client.closed !== null || client.all('pong').length === pongs)
      if (client.closed !== null) expect(codes).toContain(client.closed.code)
      for (const error of client.all('error')) {
        expect(Object.keys(errorStatus)).toContain(error.code)
        expect(typeof error.message).toBe('string')
        expect(typeof error.temporary).toBe('boolean')
        if (error.code === 'invalid_request' && client.closed === null) {
          expect(typeof error.field).toBe('string')
        }
      }
      expect(JSON.stringify(client.frames)).not.toContain(secret)
      client.cut()
    },
  )
  await fc.assert(property, { numRuns: 60 })
}, 30_000)

test('whatever session, cursor or token comes to the door, it is let in or told why', async () => {
  await using gateway = testGateway({ env: { MAX_CONNECTIONS_PER_USER: '0' } })
  const query = fc.record({
    sessionId: fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[A-Za-z0-9._:-]{1,20}$/),
    ),
    cursor: fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.tuple(fc.nat(), fc.nat()).map((pair) => pair.join('-')),
      fc.tuple(fc.maxSafeInteger(), fc.maxSafeInteger()).map((pair) => pair.join('-')),
    ),
  })
  const token = fc.option(fc.stringMatching(/^[\x21-\x7e]{1,60}$/), { nil: undefined })
  const property = fc.asyncProperty(query, token, async (params, presented) => {
    const client = new WsClient(gateway.url, {
      query: params,
      ...(presented !== undefined && { token: presented }),
    })
    await until(() => client.closed !== null || client.types().includes('live'))
    if (client.closed === null) {
      expect(params.sessionId).toMatch(/^[A-Za-z0-9._:-]{1,128}$/)
      expect(params.cursor).toMatch(/^\d+-\d+$/)
    } else {
      expect(client.types()).toEqual(['error'])
      expect([4500, 4501]).toContain(client.closed.code)
    }
    client.cut()
  })
  await fc.assert(property, { numRuns: 80 })
}, 30_000)
