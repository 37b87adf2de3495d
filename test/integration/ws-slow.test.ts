import { expect, test } from 'bun:test'
import type { ChunkFrame } from '#client/frames.ts'
import { type TestGateway, testGateway } from '../support/gateway.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { sha256 } from '../support/reader.ts'
import { ScriptedModel } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// The kernel takes about 4 MB for a reader that doesn't read; what is more waits in the process.
const answerBytes = 1_000_000
const answers = 8
const deltaBytes = 4_000

/** Answers one after the other until more is told than the kernel takes; their texts. */
async function flood(gateway: TestGateway, model: ScriptedModel): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  for (let nth = 0; nth < answers; nth += 1) {
    const body = { sessionId: 's', message: `question ${nth}` }
    const { messageId } = (await gateway.call('POST', '/api/chat', { body })).body
    const call = await model.call(messageId)
    let text = ''
    for (let said = 0; said < answerBytes; said += deltaBytes) {
      const delta = `${nth}.${said} `.padEnd(deltaBytes, 'x')
      text += delta
      call.say(delta)
      if (said % 40_000 === 0) await Bun.sleep(0)
    }
    texts.set(messageId, text)
    call.end()
    const over = async () => (await gateway.generations.find(messageId))?.outcome === 'completed'
    await until(over)
  }
  return texts
}

const env = { MAX_ANSWER_BYTES: '1048576', RATE_CHATS_PER_MINUTE: '0' }

/** Once the one connection has been told to be over: a reader that reads on before is in time after all. */
async function givenUp({ log }: TestGateway): Promise<void> {
  const isOver = async () =>
    (await log.events()).some(({ eventType }) => eventType === 'CLIENT_DISCONNECTED')
  await until(isOver, { timeoutMs: 10_000, everyMs: 100 })
}

/** The steps of what a raw client received hold every text whole, each seq once. */
function check(frames: Record<string, unknown>[], texts: Map<string, string>): number {
  let next = 1
  let merged = 0
  const shown = new Map<string, string>()
  for (const frame of frames) {
    if (typeof frame['seq'] !== 'number') continue
    const { seq, fromSeq = seq, text = '', type, messageId } = frame as unknown as ChunkFrame
    expect(fromSeq).toBe(next)
    next = Number(seq) + 1
    if ((type as string) !== 'chunk') continue
    if (fromSeq !== seq) merged += 1
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(65_536)
    shown.set(messageId, (shown.get(messageId) ?? '') + text)
  }
  for (const [messageId, text] of texts) {
    expect(sha256(shown.get(messageId) ?? '')).toBe(sha256(text))
  }
  return merged
}

test('a slow WebSocket misses nothing, gets merged chunks, and delays nobody', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model, env })
  await using slow = await RawSocket.webSocket(gateway.url, '/ws/chat?sessionId=s')
  await until(() => slow.text.includes('"live"'))
  slow.stopReading()
  const quick = new WsClient(gateway.url, { sessionId: 's' })
  await quick.live()
  const texts = await flood(gateway, model)
  await quick.frame('done', answers - 1)
  const before = slow.received
  slow.readOn()
  await until(() => slow.frames().frames.filter((it) => it['type'] === 'done').length === answers, {
    timeoutMs: 15_000,
    everyMs: 100,
  })
  expect(slow.received - before).toBeGreaterThan(5_000_000)
  expect(check(slow.frames().frames, texts)).toBeGreaterThan(10)
  expect(slow.isOver).toBe(false)
}, 30_000)

test('a slow SSE stream misses nothing and gets merged chunks', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model, env })
  await using slow = await RawSocket.get(gateway.url, '/sse/chat?sessionId=s')
  await until(() => slow.text.includes('event: live'))
  slow.stopReading()
  const texts = await flood(gateway, model)
  slow.readOn()
  const frames = () =>
    slow.text
      .replaceAll(/\r\n[0-9a-f]+\r\n/g, '')
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>)
  await until(() => slow.text.split('event: done').length > answers, {
    timeoutMs: 15_000,
    everyMs: 100,
  })
  expect(check(frames(), texts)).toBeGreaterThan(10)
}, 30_000)

test('a WebSocket from which no byte leaves for the allowed time is closed with 4008', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model, env, timing: { stallMs: 300 } })
  await using slow = await RawSocket.webSocket(gateway.direct, '/ws/chat?sessionId=s')
  await until(() => slow.text.includes('"live"'))
  slow.stopReading()
  await flood(gateway, model)
  await givenUp(gateway)
  slow.readOn()
  await until(() => slow.frames().closeCode !== null, { timeoutMs: 10_000, everyMs: 100 })
  expect(slow.frames().closeCode).toBe(4008)
}, 30_000)

test('an SSE stream from which no byte leaves for the allowed time just ends', async () => {
  const model = new ScriptedModel()
  await using gateway = testGateway({ model, env, timing: { stallMs: 300 } })
  await using slow = await RawSocket.get(gateway.direct, '/sse/chat?sessionId=s')
  await until(() => slow.text.includes('event: live'))
  slow.stopReading()
  await flood(gateway, model)
  await givenUp(gateway)
  slow.readOn()
  await until(() => slow.text.endsWith('\r\n0\r\n\r\n') || slow.isOver, {
    timeoutMs: 10_000,
    everyMs: 100,
  })
  expect(slow.text).not.toContain('event: error')
  expect(slow.text.split('event: done').length).toBeLessThanOrEqual(answers)
}, 30_000)
