import { describe, expect, test } from 'bun:test'
import { closeCodes, mayReconnect } from '#client/frames.ts'
import { isOpen, shown, testChat } from '../support/chat-client.ts'
import { ScriptedGateway } from '../support/scripted-gateway.ts'
import { until } from '../support/until.ts'

const jwt = (exp: number, name = 'u') =>
  ['{}', JSON.stringify({ sub: name, exp }), 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.')

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600

describe('a dropped connection', () => {
  test('comes back with the cursor and shows every chunk once', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    const { messageId } = await chat.send('hello')
    gateway.say('one ')
    gateway.say('two ')
    await until(() => shown(chat)[1] === 'assistant: one two ')
    const cursor = gateway.cursor
    gateway.last.cut()
    gateway.say('three ')
    gateway.say('four')
    await until(() => shown(chat)[1] === 'assistant: one two three four')
    expect(gateway.last.cursor).toBe(cursor)
    gateway.end()
    expect(await chat.finished(messageId)).toMatchObject({ outcome: 'completed', status: null })
  })

  test('comes back without a cursor when it was cut before live', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.onConnect = (connection) => {
      gateway.script.onConnect = null
      const { heartbeatMs } = gateway.script
      connection.send({
        type: 'welcome',
        sessionId: 's',
        userId: 'u',
        nodeId: 'n',
        protocol: 1,
        heartbeatMs,
        start: 'fresh',
      })
      connection.cut()
    }
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    expect(gateway.connections.map(({ cursor }) => cursor)).toEqual([null, null])
  })

  test('is said, with the transport, while it lasts', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    const states: string[] = []
    chat.subscribe(() => states.push(chat.snapshot().state))
    await isOpen(chat)
    expect(chat.snapshot()).toMatchObject({ transport: 'websocket', userId: 'demo_user' })
    gateway.last.close(closeCodes.draining)
    await until(() => gateway.connections.length === 2)
    await isOpen(chat)
    expect([...new Set(states)]).toEqual(['connecting', 'open', 'reconnecting'])
  })
})

describe('what does not fit', () => {
  test('a step left out brings a snapshot', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    await chat.send('hello')
    gateway.say('one ')
    const step = {
      type: 'chunk',
      seq: 0,
      messageId: gateway.active?.messageId ?? '',
      chunkIndex: 1,
    } as const
    gateway.step({ ...step, text: 'two ' }, true)
    gateway.say('three')
    await until(() => shown(chat)[1] === 'assistant: one two three')
    expect(gateway.last.cursor).toBeNull()
    expect(gateway.connections).toHaveLength(2)
  })

  test.each([{ sha256: 'f'.repeat(64) }, { length: 99 }])(
    'a done that says %p brings a snapshot',
    async (wrong) => {
      await using gateway = new ScriptedGateway()
      const chat = testChat({ url: gateway.url })
      await isOpen(chat)
      await chat.send('hello')
      gateway.say('text')
      gateway.end('completed', wrong)
      await until(() => gateway.connections.length === 2)
      await isOpen(chat)
      expect(gateway.last.cursor).toBeNull()
      expect(shown(chat)).toEqual(['user: hello', 'assistant: text'])
    },
  )

  test('what is no frame ends the connection, and the cursor is kept', async () => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    gateway.last.send('[1' as unknown as { type: 'ping' })
    await until(() => gateway.connections.length === 2)
    expect(gateway.last.cursor).toBe('7-0')
  })
})

describe('silence', () => {
  test('is answered while it is a ping, and ends the connection when it is too long', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.heartbeatMs = 50
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    gateway.last.send({ type: 'ping' })
    await until(() => gateway.last.received.some(({ type }) => type === 'pong'))
    const from = performance.now()
    await until(() => gateway.connections.length === 2)
    // heartbeat 50 and grace 50, less what passed since the ping.
    expect(performance.now() - from).toBeGreaterThan(80)
    expect(gateway.last.cursor).toBe('7-0')
  })
})

describe('a close code', () => {
  test.each(Object.entries(closeCodes))('%s does what its range says', async (_name, code) => {
    await using gateway = new ScriptedGateway()
    const chat = testChat({ url: gateway.url })
    await isOpen(chat)
    gateway.last.close(code)
    if (mayReconnect(code)) {
      await until(() => gateway.connections.length === 2)
      await isOpen(chat)
      return
    }
    await until(() => chat.snapshot().state === 'closed')
    expect(chat.snapshot().reason).toMatchObject({ temporary: false, details: { closeCode: code } })
    expect(gateway.connections).toHaveLength(1)
  })

  test('for good says the words of the error frame before it, also to a question on its way', async () => {
    await using gateway = new ScriptedGateway()
    gateway.script.onConnect = (connection) => {
      connection.send({
        type: 'error',
        code: 'forbidden',
        message: 'This session is not yours.',
        temporary: false,
      })
      connection.close(closeCodes.notYourSession)
    }
    const chat = testChat({ url: gateway.url })
    const sent = chat.send('hello')
    await expect(sent).rejects.toMatchObject({
      code: 'forbidden',
      message: 'This session is not yours.',
    })
    await expect(chat.send('again')).rejects.toMatchObject({ code: 'forbidden' })
  })
})

test('retryAfterMs of a refusal is waited for', async () => {
  await using gateway = new ScriptedGateway()
  const at: number[] = []
  gateway.script.onConnect = (connection) => {
    at.push(performance.now())
    if (at.length > 1) return gateway.welcome(connection)
    connection.send({
      type: 'error',
      code: 'rate_limited',
      message: 'Too many connections.',
      temporary: true,
      retryAfterMs: 200,
    })
    connection.close(closeCodes.tooMany)
  }
  await isOpen(testChat({ url: gateway.url, random: () => 0 }))
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(195)
})

describe('a token', () => {
  test('goes by sub-protocol on a WebSocket and by header on SSE', async () => {
    await using gateway = new ScriptedGateway()
    const token = jwt(inAnHour())
    await isOpen(testChat({ url: gateway.url, token }))
    expect(gateway.last).toMatchObject({ transport: 'websocket', token })
    await isOpen(testChat({ url: gateway.url, token, transport: 'sse' }))
    expect(gateway.last).toMatchObject({ transport: 'sse', token })
    expect(gateway.requests.every(({ path }) => !path.includes(token))).toBe(true)
  })

  test('is refreshed on the open connection before it ends', async () => {
    await using gateway = new ScriptedGateway()
    const tokens = [jwt(Math.floor(Date.now() / 1000) + 2, 'first'), jwt(inAnHour(), 'second')]
    let asked = 0
    const token = () => Promise.resolve(tokens[asked++] ?? '')
    await isOpen(testChat({ url: gateway.url, token, timing: { refreshMs: 500 } }))
    await until(() => gateway.last.received.some(({ type }) => type === 'auth'))
    expect(gateway.last.received).toContainEqual({ type: 'auth', token: tokens[1] ?? '' })
    expect(gateway.connections).toHaveLength(1)
    expect(asked).toBe(2)
  })

  test.each([closeCodes.tokenExpired, closeCodes.notAuthenticated])(
    'is asked for again after %i, once',
    async (code) => {
      await using gateway = new ScriptedGateway()
      gateway.script.onConnect = (connection) => connection.close(code)
      let asked = 0
      const token = () => Promise.resolve(jwt(inAnHour(), `u${asked++}`))
      // A busy machine must not look like a socket that is blocked, which is tried again with the same token.
      const timing = { openMs: 5_000 }
      const chat = testChat({ url: gateway.url, token, transport: 'websocket', timing })
      await until(() => gateway.connections.length >= 2)
      expect(gateway.connections[0]?.token).not.toBe(gateway.connections[1]?.token ?? null)
      if (code === closeCodes.tokenExpired) return
      await until(() => chat.snapshot().state === 'closed')
      expect(asked).toBe(2)
    },
  )

  test('that can not be had for now is asked for again', async () => {
    await using gateway = new ScriptedGateway()
    let asked = 0
    const token = () => {
      asked += 1
      return asked < 3 ? Promise.reject(new Error('no network')) : Promise.resolve(jwt(inAnHour()))
    }
    await isOpen(testChat({ url: gateway.url, token }))
    expect(asked).toBe(3)
  })
})

test('a listener that throws is reported, and disturbs neither the chat nor the others', async () => {
  await using gateway = new ScriptedGateway()
  const script = `
    import { createChat } from '#client/client.ts'
    const chat = createChat({ url: '${gateway.url}' })
    const thrown = new Set()
    process.on('uncaughtException', (error) => thrown.add(error.message))
    chat.subscribe(() => { throw new Error('mine') })
    chat.subscribe(() => {
      if (chat.snapshot().state !== 'open' || thrown.size === 0) return setTimeout(() => chat.reconnect())
      console.log([...thrown].join())
      process.exit(0)
    })`
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', timeout: 10_000 })
  expect((await new Response(child.stdout).text()).trim()).toBe('mine')
})
