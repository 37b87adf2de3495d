import { beforeAll, describe, expect, test } from 'bun:test'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensurePackages } from '#cli/setup/debian.ts'
import { type ConsumerProcess, startMain } from '../support/consumer-process.ts'
import { freePort } from '../support/free-port.ts'
import { nameServer } from '../support/name-server.ts'
import { testDatabase } from '../support/postgres.ts'
import { startRedis } from '../support/redis.ts'
import { SseClient } from '../support/sse-client.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd, opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// deploy/haproxy.cfg as it stands, but for ports and where names are asked; in front of two gateways of this machine.
const config = fileURLToPath(new URL('../../deploy/haproxy.cfg', import.meta.url))
const addresses = ['127.0.0.2', '127.0.0.3'] as const
const patience = { timeoutMs: 20_000, everyMs: 50 }
const starts = 60_000

let proxy = ''
const gateways: ConsumerProcess[] = []
const names = new Map<string, readonly string[]>()
let gone = ''
let start: (address: string) => ConsumerProcess

beforeAll(async () => {
  await ensurePackages({
    what: 'The HAProxy that the proxy of compose.yaml is',
    packages: ['haproxy'],
    isThere: () => Bun.which('haproxy') !== null,
    env: process.env,
    say: (line) => void process.stderr.write(`${line}\n`),
  })
  const redis = await startRedis(['--maxmemory-policy', 'noeviction'])
  const database = await testDatabase()
  atEnd(async () => {
    await database[Symbol.asyncDispose]()
  })
  const [port, replayPort] = [await freePort(), await freePort()]
  const env = {
    KAFKA_BROKERS: '127.0.0.1:9092',
    REDIS_URL: redis.url,
    DATABASE_URL: database.url,
    PORT: `${port}`,
    TRUST_PROXY: 'true',
    DRAIN_TIMEOUT_MS: '4000',
    RATE_CHATS_PER_MINUTE: '0',
    RATE_REQUESTS_PER_MINUTE: '0',
    MAX_GENERATIONS_PER_USER: '0',
  }
  expect(await startMain('db/migrate.ts', env).ended).toMatchObject({ code: 0 })
  start = (address) => startMain('gateway/main.ts', { ...env, HOST: address, NODE_ID: address })
  gateways.push(...addresses.map((address) => start(address)))
  await Promise.all(gateways.map((gateway) => gateway.ready(starts)))
  names.set('gateway', addresses)
  names.set('replay', ['127.0.0.1'])
  const replay = Bun.serve({
    hostname: '127.0.0.1',
    port: replayPort,
    fetch: (request) => new Response(`replay ${new URL(request.url).pathname}`),
  })
  atEnd(() => replay.stop(true))
  proxy = await startProxy({ port, replayPort })
  await until(async () => (await seen()).size === 2, { ...patience, what: 'both are in' })
}, 120_000)

/** Answers its URL. */
async function startProxy({ port, replayPort }: { port: number; replayPort: number }) {
  const own = await freePort()
  const text = (await Bun.file(config).text())
    .replace('maxconn 20000', 'maxconn 1000')
    .replace('bind :8080', `bind 127.0.0.1:${own}`)
    .replace('127.0.0.11:53', await nameServer(names))
    .replaceAll('gateway:8080', `gateway:${port}`)
    .replaceAll('replay:8090', `replay:${replayPort}`)
  const dir = tempDir('sluice-proxy')
  chmodSync(dir, 0o755)
  const path = join(dir, 'haproxy.cfg')
  await Bun.write(path, text)
  const child = Bun.spawn(['haproxy', '-db', '-f', path], { stdout: 'ignore', stderr: 'pipe' })
  const errors = new Response(child.stderr).text()
  const closed = opened('haproxy')
  atEnd(async () => {
    child.kill()
    await child.exited
    closed()
  })
  const url = `http://127.0.0.1:${own}`
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(await errors)
      return (await fetch(`${url}/proxy/health`).catch(() => null))?.ok
    },
    { ...patience, what: 'the proxy listens' },
  )
  return url
}

/** The nodes that answer by turns. */
async function seen(): Promise<Set<string>> {
  const found = new Set<string>()
  for (let at = 0; at < 6; at += 1) {
    const response = await fetch(`${proxy}/health`)
    if (!response.ok) continue
    found.add(((await response.json()) as { nodeId: string }).nodeId)
  }
  return found
}

/** A socket to the other node than this one. */
async function connect(sessionId: string, options: { cursor?: string; not?: string } = {}) {
  const { not, ...rest } = options
  for (;;) {
    const client = new WsClient(proxy, { sessionId, ...rest })
    const { nodeId } = await client.frame('welcome')
    if (nodeId !== not) return { client, nodeId: String(nodeId) }
    client.cut()
  }
}

const ask = (sessionId: string, message: string, headers: Record<string, string> = {}) =>
  fetch(`${proxy}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ sessionId, message }),
  })

describe('the proxy of compose.yaml', () => {
  test('sends sockets to each gateway by turns, and an answer goes on where it was on the other', async () => {
    const first = await connect('both')
    await first.client.live()
    await first.client.ask('/long 200 /fast')
    const chunk = await first.client.frame('chunk', 3)
    first.client.cut()
    const epoch = String((await first.client.live())['cursor']).split('-')[0]
    const second = await connect('both', {
      cursor: `${epoch}-${chunk['seq']}`,
      not: first.nodeId,
    })
    const { chunks } = await second.client.frame('done')
    const seqs = [...first.client.all('chunk').slice(0, 4), ...second.client.all('chunk')]
    let next = 0
    for (const { chunkIndex, fromChunkIndex = chunkIndex } of seqs) {
      expect(fromChunkIndex).toBe(next)
      next = chunkIndex + 1
    }
    expect(next).toBe(Number(chunks))
  }, 60_000)

  test('hands on what is streamed at once', async () => {
    const stream = new SseClient(proxy, { sessionId: 'flows' })
    await stream.live()
    expect((await ask('flows', '/slow tell me')).status).toBe(202)
    const { messageId } = await stream.frame('chunk', 1)
    expect(stream.all('done')).toEqual([])
    await fetch(`${proxy}/api/cancel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messageId }),
    })
    expect(await stream.frame('done')).toMatchObject({ outcome: 'cancelled' })
  }, 60_000)

  test('sends replay to the process that replays', async () => {
    await until(async () => (await fetch(`${proxy}/api/replay/sessions/s`)).ok, patience)
    const response = await fetch(`${proxy}/api/replay/sessions/s`)
    expect(await response.text()).toBe('replay /api/replay/sessions/s')
  }, 60_000)

  test('says what a page came by, whatever the client says of it', async () => {
    const { host } = new URL(proxy)
    const from = (origin: string, forwarded: string) =>
      fetch(`${proxy}/health`, { headers: { origin, 'x-forwarded-host': forwarded } })
    expect((await from(`http://${host}`, 'elsewhere.example')).status).not.toBe(403)
    expect((await from('http://elsewhere.example', 'elsewhere.example')).status).toBe(403)
  })

  test('takes out a gateway that drains: nobody is refused, and what it writes is read to its end', async () => {
    const draining = await connect('drains')
    await draining.client.live()
    const { messageId } = await draining.client.ask('/slow a few words')
    await draining.client.frame('chunk')
    const at = addresses.indexOf(draining.nodeId as (typeof addresses)[number])
    const ended = gateways[at]?.kill('SIGTERM')
    const question = (id: string) => ask(id, '/fast', { 'idempotency-key': id })
    const refused: number[] = []
    const endMs = performance.now() + 3_000
    for (let number = 0; performance.now() < endMs; number += 1) {
      // Three calls, so that by turns each comes to each gateway.
      const [asked, other] = [await question(`a${number}`), await question(`b${number}`)]
      const read = await fetch(`${proxy}/api/history/drains`)
      refused.push(...[asked, other, read].filter(({ ok }) => !ok).map(({ status }) => status))
    }
    expect(refused).toEqual([])
    expect(await draining.client.close()).toBe(1012)
    const after = await connect('drains')
    expect(after.nodeId).not.toBe(draining.nodeId)
    expect(await after.client.frame('done')).toMatchObject({ messageId })
    expect((await ended)?.code).toBe(0)
    gone = draining.nodeId
  }, 90_000)

  test('goes on without a gateway that is killed, and takes it in again', async () => {
    const again = start(gone)
    await again.ready(starts)
    await until(async () => (await seen()).size === 2, patience)
    await again.kill('SIGKILL')
    const refused: number[] = []
    for (let number = 0; number < 100; number += 1) {
      const asked = await ask(`k${number}`, '/fast', { 'idempotency-key': `kill-${number}` })
      if (!asked.ok) refused.push(asked.status)
    }
    expect(refused).toEqual([])
    await start(gone).ready(starts)
    await until(async () => (await seen()).size === 2, { ...patience, timeoutMs: starts })
  }, 120_000)
})
