import { describe, expect, test } from 'bun:test'
import { newMessageId } from '#gateway/chat/message-id.ts'
import { PlainArchive } from '../support/asks-node.ts'
import { type TestGateway, testGateway } from '../support/gateway.ts'
import { sha256 } from '../support/reader.ts'
import { said } from '../support/said.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { SseClient, type SseOptions } from '../support/sse-client.ts'
import { until } from '../support/until.ts'

async function ask(gateway: TestGateway, sessionId = 's'): Promise<string> {
  const body = { sessionId, message: 'hello' }
  return (await gateway.call('POST', '/api/chat', { body })).body.messageId
}

function watch(gateway: TestGateway, messageId: string, options: SseOptions = {}): SseClient {
  return new SseClient(gateway.url, { path: `api/messages/${messageId}/stream`, ...options })
}

function textOf(client: SseClient): string {
  return client
    .all('chunk')
    .map((frame) => frame.text ?? '')
    .join('')
}

test('one answer streams from chunk 0 to its done, and the stream ends', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const messageId = await ask(gateway)
  const call = await model.call(messageId)
  await said(gateway, call, 'one ', 'two ')
  const client = watch(gateway, messageId)
  await client.frame('chunk')
  call.say('three')
  call.end()
  await client.over()
  expect(textOf(client)).toBe('one two three')
  expect(new Set(client.types())).toEqual(new Set(['status', 'chunk', 'done']))
  expect(client.frames.at(-1)).toMatchObject({ type: 'done', sha256: sha256('one two three') })
  expect(client.all('chunk').every((frame) => frame.id?.endsWith(`-${frame.seq}`))).toBe(true)
})

test('cut at every chunk and resumed by Last-Event-ID, the answer is whole; at its done it is 204', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const messageId = await ask(gateway)
  const call = await model.call(messageId)
  const texts = ['a', 'b ', '🌊', 'd', 'e']
  const ids: (string | null)[] = []
  const first = watch(gateway, messageId)
  for (const [at, text] of texts.entries()) {
    call.say(text)
    ids.push((await first.frame('chunk', at)).id)
  }
  call.end()
  const { id } = await first.frame('done')
  for (const [at, lastEventId] of ids.entries()) {
    const again = watch(gateway, messageId, { lastEventId: lastEventId ?? '' })
    await again.over()
    expect(textOf(again)).toBe(texts.slice(at + 1).join(''))
    expect(again.types().at(-1)).toBe('done')
  }
  const over = watch(gateway, messageId, { lastEventId: id ?? '' })
  await over.over()
  expect(over.status).toBe(204)
})

test('of two answers of a session only the one that was named is shown', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model })
  const first = await ask(gateway)
  ;(await model.call(first)).say('the first')
  ;(await model.call(first)).end()
  await until(async () => (await gateway.generations.find(first))?.outcome)
  const second = await ask(gateway)
  const client = watch(gateway, second)
  ;(await model.call(second)).say('the second')
  ;(await model.call(second)).end()
  await client.over()
  expect(textOf(client)).toBe('the second')
  const earlier = watch(gateway, first)
  await earlier.over()
  expect(textOf(earlier)).toBe('the first')
})

test.each(['nonsense', '1-5', 'ahead'])('the cursor %j gives the chunks from 0', async (cursor) => {
  await using gateway = testGateway()
  const messageId = await ask(gateway)
  const first = watch(gateway, messageId)
  await first.over()
  const epoch = first.frames.at(-1)?.id?.split('-')[0]
  const lastEventId = cursor === 'ahead' ? `${epoch}-99999` : cursor
  const client = watch(gateway, messageId, { lastEventId })
  await client.over()
  expect(client.status).toBe(200)
  expect(textOf(client)).toBe(textOf(first))
})

test('an answer whose steps are no longer kept comes whole, in merged chunks', async () => {
  let passedMs = 0
  const model = new ScriptedModel()
  await using gateway = testGateway({
    model,
    env: { RESUME_TTL: '1s' },
    now: () => Date.now() + passedMs,
  })
  const messageId = await ask(gateway)
  const call = await model.call(messageId)
  call.think('hm')
  const text = '“words” 🌊'.repeat(4_000)
  call.say(text)
  call.end()
  const first = watch(gateway, messageId)
  const done = await first.frame('done')
  passedMs = 60_000
  const after = { epoch: Number(done.id?.split('-')[0]), seq: 1 }
  const expired = async () => (await gateway.generations.read('s', after, 1, 1)).is === 'snapshot'
  await until(expired, { timeoutMs: 8_000 })
  const client = watch(gateway, messageId)
  await client.over()
  const shown = client.all('chunk').filter((frame) => frame.kind === undefined)
  expect(shown.map((frame) => frame.text).join('')).toBe(text)
  expect(client.all('chunk')[0]).toMatchObject({ kind: 'reasoning', text: 'hm' })
  let next = 0
  for (const { fromChunkIndex, chunkIndex } of client.all('chunk')) {
    expect(fromChunkIndex ?? chunkIndex).toBe(next)
    next = chunkIndex + 1
  }
  const { id: _first, ...same } = done
  const { id: _again, ...again } = client.all('done')[0] ?? { id: null }
  expect(again).toEqual(same)
  const over = watch(gateway, messageId, { lastEventId: done.id ?? '' })
  await over.over()
  expect(over.status).toBe(204)
})

test('an answer that only Postgres knows comes whole, and its end is 204 too', async () => {
  const archive = new PlainArchive()
  await using gateway = testGateway({ archive })
  const messageId = newMessageId('old', Date.now())
  const message = {
    messageId,
    conversationId: 'old',
    role: 'assistant',
    content: 'long ago',
    outcome: 'completed',
    createdAt: new Date().toISOString(),
    chunks: 3,
  } as const
  const session = { sessionId: 'old', tenantId: 'default', userId: 'demo_user' }
  archive.messages.set(messageId, { ...session, message, erased: false })
  const client = watch(gateway, messageId)
  await client.over()
  expect(textOf(client)).toBe('long ago')
  const done = client.all('done')[0]
  expect(done).toMatchObject({ chunks: 3, length: 8, sha256: sha256('long ago') })
  const again = watch(gateway, messageId, { lastEventId: done?.id ?? '' })
  await again.over()
  expect(again.status).toBe(204)
  archive.messages.set(messageId, { ...session, message, erased: true })
  expect((await gateway.call('GET', `/api/messages/${messageId}/stream`)).status).toBe(410)
})

test('nobody’s answer is 404, another’s 403, an erased one 410', async () => {
  await using gateway = testGateway()
  const messageId = await ask(gateway)
  await until(async () => (await gateway.generations.find(messageId))?.outcome)
  const path = `/api/messages/${messageId}/stream`
  const as = await gateway.token('bob')
  expect((await gateway.call('GET', path, { as })).status).toBe(403)
  const nobodys = newMessageId('s', Date.now())
  expect((await gateway.call('GET', `/api/messages/${nobodys}/stream`)).status).toBe(404)
  expect((await gateway.call('GET', '/api/messages/nonsense/stream')).status).toBe(404)
  await gateway.call('DELETE', '/api/history/s')
  expect((await gateway.call('GET', path)).status).toBe(410)
})

test('too many calls are told in the stream, which a status would end for good', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model, env: { RATE_REQUESTS_PER_MINUTE: '2' } })
  const messageId = await ask(gateway)
  const first = watch(gateway, messageId)
  await until(() => first.status === 200)
  const second = watch(gateway, messageId)
  await second.over()
  expect({ status: second.status, types: second.types() }).toEqual({
    status: 200,
    types: ['error'],
  })
  expect(second.frames[0]).toMatchObject({ code: 'rate_limited', temporary: true })
  expect(second.retries.at(-1)).toBeGreaterThanOrEqual(1_000)
})

describe('POST /api/chat with Accept: text/event-stream', () => {
  const chat = (gateway: TestGateway, body: object, key?: string) =>
    new SseClient(gateway.url, {
      path: 'api/chat',
      method: 'POST',
      body: JSON.stringify(body),
      headers: {
        'content-type': 'application/json',
        ...(key !== undefined && { 'idempotency-key': key }),
      },
    })

  test('answers 200 and the frames accepted to done of that message', async () => {
    await using gateway = testGateway()
    const client = chat(gateway, { sessionId: 's', message: 'hello' }, 'key-1')
    await client.over()
    expect(client.status).toBe(200)
    const types = client.types()
    expect(types.slice(0, 2)).toEqual(['accepted', 'started'])
    expect(types.at(-1)).toBe('done')
    expect(client.all('accepted')[0]).toMatchObject({ requestId: 'key-1', duplicate: false })
    expect(sha256(textOf(client))).toBe(client.all('done')[0]?.sha256 ?? '')
  })

  test('streams a duplicate from chunk 0', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model })
    const first = chat(gateway, { sessionId: 's', message: 'hello' }, 'key-1')
    const { messageId } = await first.frame('accepted')
    const call = await model.call(messageId)
    await said(gateway, call, 'one ', 'two ')
    const second = chat(gateway, { sessionId: 's', message: 'hello' }, 'key-1')
    expect(await second.frame('accepted')).toMatchObject({ messageId, duplicate: true })
    call.say('three')
    call.end()
    await first.over()
    await second.over()
    expect(textOf(second)).toBe('one two three')
    expect(textOf(first)).toBe('one two three')
  })

  test('closing it cancels nothing, even where an abandoned answer is cancelled', async () => {
    const model = new ScriptedModel()
    await using gateway = testGateway({ model, env: { ON_ABANDON: 'cancel' } })
    const client = chat(gateway, { sessionId: 's', message: 'hello' })
    const { messageId } = await client.frame('accepted')
    const call = await model.call(messageId)
    call.say('one ')
    await client.frame('chunk')
    client.cut()
    await Bun.sleep(50)
    await said(gateway, call, 'two')
    call.end()
    const outcome = async () => (await gateway.generations.find(messageId))?.outcome
    await until(outcome)
    expect(await outcome()).toBe('completed')
  })

  test('a refused question is plain HTTP', async () => {
    await using gateway = testGateway()
    const client = chat(gateway, { sessionId: 's', message: ' ' })
    await client.over()
    expect(client.status).toBe(400)
    expect(JSON.parse(client.text).error).toMatchObject({
      code: 'invalid_request',
      field: 'message',
    })
  })
})
