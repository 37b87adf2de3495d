import { describe, expect, test } from 'bun:test'
import { type SluiceProcess, startSluice } from '../support/sluice-process.ts'
import { SseClient } from '../support/sse-client.ts'
import { tempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

interface Health {
  status: string
  nodeId: string
  dependencies: Record<string, { state: string; reason?: string }>
}

// biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it.
async function get(sluice: SluiceProcess, path: string): Promise<{ status: number; body: any }> {
  const response = await fetch(`${sluice.url}${path}`)
  return { status: response.status, body: await response.json() }
}

function post(sluice: SluiceProcess, path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return fetch(`${sluice.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
}

async function isReady(sluice: SluiceProcess): Promise<void> {
  const what = 'every part is up'
  await until(async () => (await get(sluice, '/health')).body.status === 'ready', {
    ...{ what, timeoutMs: 60_000, everyMs: 50 },
  })
}

const upgrade = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

describe('a start', () => {
  test('says that it is ready on one JSON line, and listens by then', async () => {
    await using sluice = await startSluice({ dataDir: tempDir(), env: { NODE_ID: 'node-1' } })
    const [line = '', ...more] = sluice.lines
    expect(more).toEqual([])
    const { time, url, ...said } = JSON.parse(line)
    expect(said).toEqual({ level: 'info', msg: 'ready', process: 'start' })
    expect(url).toBe(sluice.url)
    expect(new Date(time).toISOString()).toBe(time)
    expect(await get(sluice, '/health/live')).toEqual({
      status: 200,
      body: { status: 'ready', nodeId: 'node-1', dependencies: {} },
    })
  })

  test('of a new folder answers before Postgres is there, which is degraded, not unready', async () => {
    await using sluice = await startSluice({ dataDir: tempDir() })
    const early: { status: number; body: Health } = await get(sluice, '/health/ready')
    expect(early.status).toBe(200)
    expect(early.body.status).toBe('degraded')
    expect(early.body.dependencies['sqlite']).toEqual({ state: 'up' })
    expect(early.body.dependencies['model']).toEqual({ state: 'off' })
    expect(early.body.dependencies['postgres']).toMatchObject({ state: 'down' })

    const client = new WsClient(sluice.url, { sessionId: 's' })
    await client.live()
    const { messageId } = await client.ask('/fast Is anybody there?')
    expect(await client.frame('done')).toMatchObject({ messageId, outcome: 'completed' })
    const history = await get(sluice, '/api/history/s')
    expect(history.body.count).toBe(2)

    // Whatever needs Postgres is answered once it is there.
    await isReady(sluice)
    expect((await get(sluice, '/api/sessions')).status).toBe(200)
    await until(
      async () => (await get(sluice, `/api/audit?messageId=${messageId}`)).body.rows.length === 3,
      { what: 'the audit has the answer', timeoutMs: 10_000, everyMs: 50 },
    )
  }, 90_000)

  test('of a folder that was used goes on where the last one ended', async () => {
    const dataDir = tempDir()
    let cursor = ''
    {
      await using sluice = await startSluice({ dataDir })
      const client = new WsClient(sluice.url, { sessionId: 's' })
      await client.live()
      await client.ask('/fast one', 'r1')
      const { seq } = await client.frame('done')
      const { cursor: first } = await client.frame('live')
      cursor = `${first.split('-')[0]}-${seq}`
      expect(await sluice.kill('SIGTERM')).toBe(0)
    }
    await using sluice = await startSluice({ dataDir })
    const client = new WsClient(sluice.url, { sessionId: 's', cursor })
    expect((await client.live()).cursor).toBe(cursor)
    expect(client.types()).toEqual(['welcome', 'live'])
    expect(await client.ask('/fast one', 'r1')).toMatchObject({ duplicate: true })
    const { messageId } = await client.ask('/fast two')
    expect(await client.frame('done')).toMatchObject({ messageId, outcome: 'completed' })
    const stream = new SseClient(sluice.url, { sessionId: 's' })
    expect((await stream.frame('history')).messages).toHaveLength(4)
  }, 90_000)
})

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('is not ready at once, sends all away, lets answers end, and exits 0', async () => {
    const dataDir = tempDir()
    {
      await using sluice = await startSluice({ dataDir, env: { DRAIN_TIMEOUT_MS: '4000' } })
      const client = new WsClient(sluice.url, { sessionId: 's' })
      const stream = new SseClient(sluice.url, { sessionId: 's' })
      await stream.live()
      await client.live()
      await client.ask('/slow /long 1000')
      await client.frame('chunk')
      const short = (await (
        await post(sluice, '/api/chat', { sessionId: 'short', message: '/long 20' })
      ).json()) as { messageId: string }

      const gone = sluice.kill(signal)
      await until(async () => (await get(sluice, '/health/ready')).status === 503)
      expect((await get(sluice, '/health/ready')).body.status).toBe('unready')
      expect((await get(sluice, '/health/live')).status).toBe(200)
      const refused = await post(sluice, '/api/chat', { message: 'one more' })
      expect(refused.status).toBe(503)
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect((await fetch(`${sluice.url}/ws/chat?sessionId=s`, { headers: upgrade })).status).toBe(
        503,
      )

      expect(await client.close()).toBe(1012)
      await stream.over()
      expect(stream.frames.at(-1)).toMatchObject({ type: 'error', code: 'unavailable' })
      // An answer that is short enough ends as if nothing were.
      await until(async () => {
        const { body } = await get(sluice, `/api/messages/${short.messageId}`)
        return body.outcome === 'completed'
      })
      expect(await gone).toBe(0)
    }
    await using again = await startSluice({ dataDir })
    const { body } = await get(again, '/api/history/s')
    expect(body.messages[1]).toMatchObject({
      outcome: 'interrupted',
      error: { code: 'unavailable', errorType: 'shutdown' },
    })
    expect(body.messages[1].content).not.toBe('')
  }, 90_000)
})

test('a process that is told to go while it starts exits 0', async () => {
  await using sluice = await startSluice({ dataDir: tempDir() })
  const fromMs = performance.now()
  expect(await sluice.kill('SIGTERM')).toBe(0)
  expect(performance.now() - fromMs).toBeLessThan(15_000)
}, 90_000)
