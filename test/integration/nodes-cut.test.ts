import { beforeAll, expect, test } from 'bun:test'
import { shardOfSession } from '#gateway/generations/redis/shards.ts'
import { type FaultProxy, faultProxy } from '../support/fault-proxy.ts'
import { sha256 } from '../support/reader.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { ask, type Nodes, twoNodes } from '../support/two-nodes.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

// One of two nodes, `two`, is cut off from Redis; the other is not.

const patience = { timeoutMs: 30_000, everyMs: 20 }

let redis: RedisServer

beforeAll(async () => {
  redis = await startRedis()
})

async function nodes(): Promise<{ it: Nodes; way: FaultProxy }> {
  const way = await faultProxy(redis.port)
  const secondRedisUrl = `redis://127.0.0.1:${way.port}`
  return { it: twoNodes(redis.url, { secondRedisUrl }), way }
}

async function tab(url: string, sessionId = 's'): Promise<WsClient> {
  const client = new WsClient(url, { sessionId })
  await client.live()
  return client
}

function textOf(client: WsClient): string {
  return client
    .all('chunk')
    .map(({ text = '' }) => text)
    .join('')
}

async function shows(clients: WsClient[], text: string): Promise<void> {
  const isShown = () => clients.every((client) => textOf(client) === text)
  await until(isShown, { ...patience, what: `all tabs show ${text}` })
}

async function ends(clients: WsClient[], nth = 0): Promise<void> {
  const areOver = () => clients.every((client) => client.all('done').length > nth)
  await until(areOver, { ...patience, what: `all tabs have end ${nth}` })
}

test.each(['cut', 'stalled'] as const)(
  'an owner whose way to Redis is %s for a while goes on where it was, and no tab loses a word',
  async (how) => {
    const { it: gateways, way } = await nodes()
    await using it = gateways
    const tabs = [await tab(it.one), await tab(it.two)]
    const call = await ask(it, 's', it.two)
    call.say('before ')
    await shows(tabs, 'before ')
    if (how === 'cut') way.refuse()
    else way.stall()
    for (const word of ['while ', 'nobody ', 'hears ']) {
      call.say(word)
      await Bun.sleep(1_000)
    }
    expect(textOf(tabs[0] as WsClient)).toBe('before ')
    const [, owners] = tabs
    expect(owners?.all('status').at(-1)?.status).toBe('stalled')
    if (how === 'cut') way.accept()
    else way.flow()
    await shows(tabs, 'before while nobody hears ')
    call.say('after')
    call.end()
    await ends(tabs)
    const text = 'before while nobody hears after'
    for (const client of tabs) {
      expect(client.all('done')).toMatchObject([{ outcome: 'completed', sha256: sha256(text) }])
      expect(textOf(client)).toBe(text)
      expect(client.all('welcome').length).toBe(1)
      expect(client.types().at(-1)).toBe('done')
    }
    const statuses = owners?.all('status').map(({ status }) => status)
    expect(statuses).toEqual(['streaming', 'stalled', 'streaming'])
  },
  60_000,
)

test('an owner that is cut off for longer than its lease is ended by the other node, and gives up', async () => {
  const { it: gateways, way } = await nodes()
  await using it = gateways
  const tabs = [await tab(it.one), await tab(it.two)]
  const call = await ask(it, 's', it.two)
  const { messageId } = call.request
  call.say('shown ')
  await shows(tabs, 'shown ')
  way.refuse()
  call.say('unheard')
  await ends(tabs.slice(0, 1))
  const end = { messageId, outcome: 'interrupted', chunks: 1, sha256: sha256('shown ') }
  expect(tabs[0]?.all('done')).toMatchObject([end])
  // The session is free, also while its former owner knows nothing of it.
  const next = await ask(it, 's', it.one)
  next.say('the next')
  way.accept()
  await until(() => call.signal.aborted, { ...patience, what: 'the model call is stopped' })
  next.end()
  await ends(tabs, 1)
  for (const client of tabs) {
    expect(client.all('done')).toMatchObject([end, { outcome: 'completed' }])
    expect(textOf(client)).toBe('shown the next')
  }
}, 90_000)

test('a node that is cut off says so, keeps its tabs, and has for them all that the other did', async () => {
  const { it: gateways, way } = await nodes()
  await using it = gateways
  const tabs = [await tab(it.one), await tab(it.two)]
  const call = await ask(it, 's')
  const { messageId } = call.request
  call.say('one ')
  await shows(tabs, 'one ')
  way.refuse()
  const isUnready = async () =>
    (await it.call('GET', '/health/ready', { url: it.two })).status === 503
  await until(isUnready, { ...patience, what: 'the node is not ready' })
  for (const [path, body] of [
    ['/api/chat', { sessionId: 'other', message: 'why?' }],
    ['/api/cancel', { messageId }],
  ] as const) {
    const refused = await it.call('POST', path, { url: it.two, body })
    expect([path, refused.status, refused.body.error.code]).toEqual([path, 503, 'unavailable'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  }
  call.say('two ')
  call.end()
  await ends(tabs.slice(0, 1))
  const next = await ask(it, 's')
  next.say('three')
  next.end()
  await ends(tabs.slice(0, 1), 1)
  expect(tabs[1]?.all('done')).toEqual([])
  way.accept()
  await ends(tabs, 1)
  for (const client of tabs) {
    expect(textOf(client)).toBe('one two three')
    expect(client.closed).toBeNull()
  }
  const isReady = async () =>
    (await it.call('GET', '/health/ready', { url: it.two })).status === 200
  await until(isReady, { ...patience, what: 'the node is ready again' })
}, 60_000)

test('of two servers one is away: what is on the other goes on as if nothing were', async () => {
  const second = await startRedis()
  const way = await faultProxy(second.port)
  await using it = twoNodes(`${redis.url},redis://127.0.0.1:${way.port}`)
  const sessionOn = (server: number) =>
    Array.from({ length: 64 }, (_, at) => `s${at}`).find((id) => shardOfSession(id) % 2 === server)
  const on = await Promise.all(
    [0, 1].map(async (server) => {
      const sessionId = sessionOn(server) ?? ''
      const tabs = [await tab(it.one, sessionId), await tab(it.two, sessionId)]
      const call = await ask(it, sessionId)
      call.say('before ')
      await shows(tabs, 'before ')
      return { sessionId, tabs, call }
    }),
  )
  const [sound, away] = on
  if (sound === undefined || away === undefined) throw new Error('there are two servers')
  way.refuse()
  away.call.say('kept ')
  let text = 'before '
  for (let word = 0; word < 20; word += 1) {
    sound.call.say(`${word} `)
    text += `${word} `
    await shows(sound.tabs, text)
    await Bun.sleep(100)
  }
  sound.call.end()
  await ends(sound.tabs)
  const next = await ask(it, sound.sessionId)
  next.say('next')
  next.end()
  await ends(sound.tabs, 1)
  expect((await it.call('GET', '/health/ready')).status).toBe(200)
  expect(
    sound.tabs.map((client) => client.all('status').some((it) => it.status === 'stalled')),
  ).toEqual([false, false])
  expect(away.tabs.map(textOf)).toEqual(['before ', 'before '])
  way.accept()
  away.call.say('after')
  away.call.end()
  await ends(away.tabs)
  for (const { tabs } of on) expect(new Set(tabs.map(textOf)).size).toBe(1)
  expect(away.tabs.map(textOf)).toEqual(['before kept after', 'before kept after'])
  for (const client of away.tabs) expect(client.all('done')[0]?.outcome).toBe('completed')
}, 60_000)
