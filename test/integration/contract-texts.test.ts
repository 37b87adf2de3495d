import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { type Deployed, startDeployed } from '../support/deployed.ts'
import { noLimits } from '../support/no-limits.ts'
import { Reader, sha256 } from '../support/reader.ts'
import {
  ScriptedUpstream,
  type UpstreamCall,
  type UpstreamScript,
} from '../support/scripted-upstream.ts'
import { SseClient } from '../support/sse-client.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// Text from one end to the other: from a client to the model, and from the model to clients, history, events and back.

const answerBytesMax = 524_288
const contentBytesMax = 32_768
const wave = '🌊'

let upstream: ScriptedUpstream
let sluice: Deployed

beforeAll(async () => {
  upstream = await ScriptedUpstream.start()
  const env = {
    OPENAI_BASE_URL: upstream.baseUrl,
    ...noLimits,
  }
  sluice = await startDeployed(env)
}, 90_000)
afterAll(async () => {
  await sluice[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
beforeEach(() => {
  upstream.scripts = [saying('Fine.')]
})

/** An answer whose deltas are these. */
function saying(...deltas: string[]): UpstreamScript {
  return (call) => {
    call.head()
    for (const delta of deltas) call.say(delta)
    end(call)
  }
}

function end(call: UpstreamCall): void {
  call.finish()
  call.done()
}

// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it.
async function get(path: string): Promise<any> {
  return (await fetch(`${sluice.url}${path}`)).json()
}

interface Finished {
  messageId: string
  text: string
  outcome: string
  length: number
  sha256: string
  error?: { errorType: string }
}

async function finished(messageId: string): Promise<Finished> {
  return await until(
    async () => {
      const message = await get(`/api/messages/${messageId}`)
      return message.status === 'finished' ? message : null
    },
    { timeoutMs: 60_000, everyMs: 20 },
  )
}

async function post(body: string): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return await fetch(`${sluice.url}/api/chat`, { method: 'POST', headers, body })
}

/** By REST; `message` as it stands in the JSON. */
async function ask(sessionId: string, message = '"q"'): Promise<Finished> {
  const response = await post(`{"sessionId":"${sessionId}","message":${message}}`)
  expect(response.status).toBe(202)
  return await finished(((await response.json()) as { messageId: string }).messageId)
}

interface Told {
  eventType: string
  role?: string
  content?: string
  text?: string
}

/** Once the answer's end has come as far as the log. */
async function eventsOf(sessionId: string): Promise<Told[]> {
  const told = async () => {
    const { events = [] } = (await get(`/api/replay/sessions/${sessionId}`)) as { events?: Told[] }
    return events.some(({ role }) => role === 'assistant') ? events : null
  }
  return (await until(told, { timeoutMs: 20_000, everyMs: 50 })) ?? []
}

/** Everywhere that an answer's text is told, it is this one. */
async function expectEverywhere(sessionId: string, answer: Finished, text: string): Promise<void> {
  expect(answer).toMatchObject({ text, length: text.length, sha256: sha256(text) })
  const { messages } = await get(`/api/history/${sessionId}`)
  expect(messages.at(-1).content).toBe(text)
  const stream = new SseClient(sluice.url, { path: `api/messages/${answer.messageId}/stream` })
  await stream.over()
  const chunks = stream.all('chunk').map((frame) => frame.text ?? '')
  expect(chunks.join('')).toBe(text)
  expect(chunks.every((chunk) => chunk.isWellFormed())).toBe(true)
  const events = await eventsOf(sessionId)
  const said = events.filter(({ eventType }) => eventType === 'CHUNK_RECEIVED')
  expect(said.map((event) => event.text).join('')).toBe(text)
  expect(events.findLast(({ role }) => role === 'assistant')?.content).toBe(text)
}

describe('a question', () => {
  const raw = '"  \\ud83d a\\u0000b \\udf0a\\r\\n\\ud83c\\udf0a\\t "'
  const kept = `  \ufffd a\ufffdb \ufffd\r\n${wave}\t `

  test('has U+FFFD for what is no text and is otherwise kept, on its way everywhere', async () => {
    const watcher = new WsClient(sluice.url, { sessionId: 'q1' })
    await watcher.live()
    await ask('q1', raw)
    expect((await watcher.frame('started')).userMessage.content).toBe(kept)
    expect(upstream.last.body.messages.at(-1)).toEqual({ role: 'user', content: kept })
    expect((await get('/api/history/q1')).messages[0].content).toBe(kept)
    const events = await eventsOf('q1')
    expect(events.find(({ role }) => role === 'user')?.content).toBe(kept)
  }, 90_000)

  test('is the same question over a socket, and a duplicate after the replacement', async () => {
    const client = new WsClient(sluice.url, { sessionId: 'q2' })
    await client.live()
    client.socket.send(`{"type":"chat","requestId":"r","content":${raw}}`)
    const first = await client.frame('accepted')
    expect((await client.frame('started')).userMessage.content).toBe(kept)
    await client.frame('done')
    expect(await client.ask(kept, 'r')).toMatchObject({
      duplicate: true,
      messageId: first.messageId,
    })
  })

  test('may have as many bytes as are allowed, and not one more', async () => {
    const most = wave.repeat(contentBytesMax / 4)
    await ask('q3', JSON.stringify(most))
    expect((await get('/api/history/q3')).messages[0].content).toBe(most)
    const refused = await post(JSON.stringify({ sessionId: 'q3', message: `${most}a` }))
    expect(refused.status).toBe(413)
    expect(await refused.json()).toMatchObject({ error: { code: 'too_large', temporary: false } })
    const client = new WsClient(sluice.url, { sessionId: 'q3' })
    await client.live()
    client.send({ type: 'chat', content: `${most}a`, requestId: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'too_large', requestId: 'r' })
  })
})

describe('an answer', () => {
  test('whose emoji the model splits has no half of one in any chunk', async () => {
    upstream.scripts = [
      saying('a', wave.slice(0, 1), `${wave.slice(1)}b`, wave.slice(0, 1), '', wave.slice(1)),
    ]
    const watcher = new WsClient(sluice.url, { sessionId: 'a1' })
    await watcher.live()
    const answer = await ask('a1')
    await watcher.frame('done')
    for (const { text } of watcher.all('chunk')) expect(text?.isWellFormed()).toBe(true)
    await expectEverywhere('a1', answer, `a${wave}b${wave}`)
  }, 90_000)

  test('whose bytes the network splits is whole', async () => {
    const line = new TextEncoder().encode(
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: `é${wave}ü` } }] })}\n\n`,
    )
    upstream.scripts = [
      async (call) => {
        call.head()
        for (const byte of line) {
          call.raw(new Uint8Array([byte]))
          await Bun.sleep(0)
        }
        end(call)
      },
    ]
    await expectEverywhere('a2', await ask('a2'), `é${wave}ü`)
  }, 90_000)

  test('has U+FFFD for halves that stay alone and for U+0000; CR LF and blanks are kept', async () => {
    upstream.scripts = [
      saying(
        ' \r\n',
        wave.slice(0, 1),
        'x',
        `${wave.slice(1)}y\u0000`,
        '\r',
        '\n ',
        wave.slice(0, 1),
      ),
    ]
    await expectEverywhere('a3', await ask('a3'), ' \r\n\ufffdx\ufffdy\ufffd\r\n \ufffd')
  }, 90_000)

  test.each(['websocket', 'sse'] as const)(
    'of 512 KiB comes whole over %s, cut on its way, too',
    async (transport) => {
      const sessionId = `long-${transport}`
      const piece = `${wave}é\r\n"\\<b>0123456789abcdefghijklmnopqr`
      const bytes = Buffer.byteLength(piece)
      const count = Math.floor(answerBytesMax / bytes)
      const rest = 'z'.repeat(answerBytesMax - count * bytes)
      const text = piece.repeat(count) + rest
      let go: (() => void) | undefined
      upstream.scripts = [
        async (call) => {
          call.head()
          for (let at = 0; at < count; at += 1) {
            call.say(piece)
            if (at % 1_000 === 999)
              await new Promise<void>((resolve) => {
                go = resolve
              })
          }
          call.say(rest)
          end(call)
        },
      ]
      const reader = new Reader(sluice.url, sessionId, transport)
      reader.connect()
      await reader.until(({ transcript }) => transcript.cursor !== null, 'live')
      const response = await post(JSON.stringify({ sessionId, message: 'q' }))
      const { messageId } = (await response.json()) as { messageId: string }
      for (let shown = 1_000; shown <= count; shown += 1_000) {
        await reader.until(
          (it) => it.text(messageId).length >= shown * piece.length,
          `${shown} pieces`,
        )
        reader.cut()
        go?.()
        reader.connect()
      }
      await reader.done(messageId)
      expect(reader.text(messageId)).toBe(text)
      reader.cut()
      await expectEverywhere(sessionId, await finished(messageId), text)
    },
    60_000,
  )

  test('that is longer is cut between two characters and fails', async () => {
    upstream.scripts = [saying(...Array<string>(33).fill(wave.repeat(4_096)))]
    const answer = await ask('a4')
    expect(answer).toMatchObject({ outcome: 'failed', error: { errorType: 'too_large' } })
    await expectEverywhere('a4', answer, wave.repeat(answerBytesMax / 4))
  }, 90_000)
})
