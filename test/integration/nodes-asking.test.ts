import { beforeAll, describe, expect, test } from 'bun:test'
import { sha256 } from '../support/reader.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { said } from '../support/said.ts'
import { SseClient } from '../support/sse-client.ts'
import { ask, type Nodes, twoNodes } from '../support/two-nodes.ts'
import { until } from '../support/until.ts'
import { WsClient } from '../support/ws-client.ts'

let redis: RedisServer

beforeAll(async () => {
  redis = await startRedis()
})

function post(it: Nodes, url: string, body: object, key?: string): ReturnType<Nodes['call']> {
  const headers = key === undefined ? {} : { 'idempotency-key': key }
  return it.call('POST', '/api/chat', { url, body, headers })
}

describe('a cancel on the other node', () => {
  test('stops the model, keeps what was shown, and says so everywhere', async () => {
    await using it = twoNodes(redis.url)
    const tabs = [it.one, it.two].map((url) => new WsClient(url, { sessionId: 's' }))
    for (const tab of tabs) await tab.live()
    const call = await ask(it, 's')
    const { messageId } = call.request
    await said(it, call, 'shown ', 'words')
    const cancelled = await it.call('POST', '/api/cancel', { url: it.two, body: { messageId } })
    expect(cancelled.body).toEqual({ messageId, outcome: 'cancelled' })
    await until(() => call.signal.aborted, { what: 'the model call is stopped' })
    for (const tab of tabs) {
      expect(await tab.frame('done')).toMatchObject({
        messageId,
        outcome: 'cancelled',
        chunks: 2,
        sha256: sha256('shown words'),
      })
    }
    // Said too late: nobody sees it.
    call.say('more')
    for (const url of [it.one, it.two]) {
      const { body } = await it.call('GET', `/api/messages/${messageId}`, { url })
      expect(body).toMatchObject({ outcome: 'cancelled', text: 'shown words' })
      const again = await it.call('POST', '/api/cancel', { url, body: { messageId } })
      expect(again.body).toEqual({ messageId, outcome: 'cancelled' })
    }
    for (const tab of tabs) expect(tab.types().at(-1)).toBe('done')
  })

  test('by a frame is answered with the outcome that stands, also when two nodes cancel at once', async () => {
    await using it = twoNodes(redis.url)
    const tabs = [it.one, it.two].map((url) => new WsClient(url, { sessionId: 's' }))
    for (const tab of tabs) await tab.live()
    for (let turn = 0; turn < 10; turn += 1) {
      const call = await ask(it, 's', turn % 2 === 0 ? it.one : it.two)
      const { messageId } = call.request
      await said(it, call, 'words')
      for (const tab of tabs) tab.send({ type: 'cancel', messageId })
      for (const tab of tabs) {
        expect(await tab.frame('cancelled', turn)).toMatchObject({
          messageId,
          outcome: 'cancelled',
        })
        expect(await tab.frame('done', turn)).toMatchObject({ messageId, outcome: 'cancelled' })
      }
    }
    for (const tab of tabs) expect(tab.all('done').length).toBe(10)
  })

  test('that meets the end is answered with how it ended, and there is one end', async () => {
    await using it = twoNodes(redis.url)
    const tab = new WsClient(it.two, { sessionId: 's' })
    await tab.live()
    for (let turn = 0; turn < 20; turn += 1) {
      const call = await ask(it, 's')
      const { messageId } = call.request
      await said(it, call, 'words')
      if (turn % 2 === 0) call.end()
      const cancelling = it.call('POST', '/api/cancel', { url: it.two, body: { messageId } })
      if (turn % 2 === 1) call.end()
      const { body } = await cancelling
      const done = await tab.frame('done', turn)
      expect(body).toEqual({ messageId, outcome: done.outcome })
      expect(['completed', 'cancelled']).toContain(done.outcome)
    }
    expect(tab.all('done').length).toBe(20)
  })
})

describe('an idempotency key on the other node', () => {
  test('gives the first one’s ids, while the answer is made and after it', async () => {
    await using it = twoNodes(redis.url)
    const question = { sessionId: 's', message: 'why?' }
    const first = await post(it, it.one, question, 'k')
    const call = await it.model.call(first.body.messageId)
    const again = await post(it, it.two, question, 'k')
    expect(again.status).toBe(202)
    expect(again.body).toEqual({ ...first.body, duplicate: true })
    await said(it, call, 'be', 'cause')
    const streamed = new SseClient(it.two, {
      path: 'api/chat',
      method: 'POST',
      body: JSON.stringify(question),
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
    })
    await streamed.frame('chunk')
    call.end()
    await streamed.over()
    expect(
      streamed
        .all('chunk')
        .map(({ text }) => text)
        .join(''),
    ).toBe('because')
    expect(streamed.frames.at(-1)).toMatchObject({ type: 'done', sha256: sha256('because') })
    const { body } = await post(it, it.two, question, 'k')
    expect(body).toEqual({ ...first.body, duplicate: true })
    expect(it.model.calls.length).toBe(1)
  })

  test('with other content is a conflict there', async () => {
    await using it = twoNodes(redis.url)
    await post(it, it.one, { sessionId: 's', message: 'why?' }, 'k')
    const other = await post(it, it.two, { sessionId: 's', message: 'how?' }, 'k')
    expect(other.status).toBe(409)
    expect(other.body.error.code).toBe('idempotency_conflict')
  })

  test('sent to both at once is one question', async () => {
    await using it = twoNodes(redis.url)
    for (let turn = 0; turn < 20; turn += 1) {
      const question = { sessionId: `s-${turn}`, message: 'why?' }
      const urls = [it.one, it.two, it.two, it.one]
      const answers = await Promise.all(urls.map((url) => post(it, url, question, 'k')))
      expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202])
      expect(new Set(answers.map(({ body }) => body.messageId)).size).toBe(1)
      expect(answers.filter(({ body }) => !body.duplicate).length).toBe(1)
      expect(it.model.calls.length).toBe(turn + 1)
    }
  })
})

describe('one answer at a time', () => {
  test('a question on the other node is refused with the one that is being made', async () => {
    await using it = twoNodes(redis.url)
    const call = await ask(it, 's')
    const refused = await post(it, it.two, { sessionId: 's', message: 'and?' })
    expect(refused.status).toBe(409)
    expect(refused.body.error).toMatchObject({
      code: 'generation_in_progress',
      messageId: call.request.messageId,
    })
  })

  test('of two that come to two nodes at once one is accepted', async () => {
    await using it = twoNodes(redis.url)
    for (let turn = 0; turn < 20; turn += 1) {
      const question = { sessionId: `s-${turn}`, message: 'why?' }
      const answers = await Promise.all([it.one, it.two].map((url) => post(it, url, question)))
      const taken = answers.find(({ status }) => status === 202)
      const refused = answers.find(({ status }) => status === 409)
      expect(refused?.body.error.messageId).toBe(taken?.body.messageId)
      expect(taken?.body.messageId).toBeString()
    }
    expect(it.model.calls.length).toBe(20)
  })

  test.each(['done', 'cancelled'] as const)(
    'right after %s the other node takes the next, and knows what was said',
    async (how) => {
      await using it = twoNodes(redis.url)
      const tabs = [it.one, it.two].map((url) => new WsClient(url, { sessionId: 's' }))
      for (const tab of tabs) await tab.live()
      for (let turn = 0; turn < 12; turn += 1) {
        const [here, there] = turn % 2 === 0 ? [it.one, it.two] : [it.two, it.one]
        const { status, body } = await post(it, here, { sessionId: 's', message: `q${turn}` })
        expect(status).toBe(202)
        const call = await it.model.call(body.messageId)
        const before = Array.from({ length: turn }, (_, at) => [`q${at}`, `a${at}`]).flat()
        const told = call.request.messages.map(({ content }) => content)
        expect(told).toEqual([...before, `q${turn}`].slice(-21))
        await said(it, call, `a${turn}`)
        if (how === 'done') {
          call.end()
          // Of the node that hears of it last.
          await tabs[turn % 2 === 0 ? 1 : 0]?.frame('done', turn)
        } else {
          const { messageId } = call.request
          await it.call('POST', '/api/cancel', { url: there, body: { messageId } })
        }
      }
    },
  )

  test('an answer is made anew by the other node', async () => {
    await using it = twoNodes(redis.url)
    const tab = new WsClient(it.one, { sessionId: 's' })
    await tab.live()
    const first = await ask(it, 's')
    first.say('no')
    first.end()
    await tab.frame('done')
    const { messageId } = first.request
    const again = await post(it, it.two, { sessionId: 's', regenerate: messageId })
    expect(again.status).toBe(202)
    const call = await it.model.call(again.body.messageId)
    expect(call.request.messages.map(({ content }) => content)).toEqual(['why?'])
    call.say('yes')
    call.end()
    await tab.frame('done', 1)
    expect(tab.all('started')[1]).toMatchObject({ regenerates: messageId })
    expect(tab.all('chunk').map(({ text }) => text)).toEqual(['no', 'yes'])
  })
})

describe('whoever comes to the other node', () => {
  test('is who the first one knows: tokens, and whose a session is', async () => {
    await using it = twoNodes(redis.url)
    const tokenOf = async (userId: string, url: string) => {
      const { body } = await it.call('POST', '/api/dev/token', { url, body: { userId, roles: [] } })
      return body.token as string
    }
    const [ann, bob] = [await tokenOf('ann', it.one), await tokenOf('bob', it.two)]
    const question = { sessionId: 's', message: 'why?' }
    const taken = await it.call('POST', '/api/chat', { url: it.two, as: ann, body: question })
    expect(taken.status).toBe(202)
    const { messageId } = taken.body
    for (const [method, path, body] of [
      ['POST', '/api/chat', question],
      ['GET', '/api/history/s', undefined],
      ['GET', `/api/messages/${messageId}`, undefined],
      ['POST', '/api/cancel', { messageId }],
      ['DELETE', '/api/history/s', undefined],
    ] as const) {
      const refused = await it.call(method, path, { url: it.one, as: bob, body })
      expect([path, refused.status]).toEqual([path, 403])
    }
    const socket = new WsClient(it.one, { sessionId: 's', token: bob })
    expect(await socket.close()).toBe(4503)
    const theirs = new WsClient(it.one, { sessionId: 's', token: ann })
    expect((await theirs.frame('history')).active?.messageId).toBe(messageId)
  })

  test('of two users that name a session at once on two nodes, one has it', async () => {
    await using it = twoNodes(redis.url)
    for (let turn = 0; turn < 20; turn += 1) {
      const sessionId = `s-${turn}`
      const answers = await Promise.all([
        post(it, it.one, { sessionId, message: 'why?', userId: 'ann' }),
        post(it, it.two, { sessionId, message: 'why?', userId: 'bob' }),
      ])
      expect(answers.map(({ status }) => status).sort()).toEqual([202, 403])
    }
  })

  test('is counted with what the user has on the first', async () => {
    const limits = { MAX_CONNECTIONS_PER_USER: '2', MAX_GENERATIONS_PER_USER: '2' }
    await using it = twoNodes(redis.url, { env: limits })
    const open = [it.one, it.two].map((url) => new WsClient(url, { sessionId: 's' }))
    for (const client of open) await client.live()
    for (const url of [it.one, it.two]) {
      expect(await new WsClient(url, { sessionId: 's' }).close()).toBe(4029)
    }
    open[0]?.cut()
    const isTaken = async () => {
      const client = new WsClient(it.two, { sessionId: 's' })
      await until(() => client.closed !== null || client.types().includes('live'))
      return client.closed === null
    }
    await until(isTaken, { what: 'a place that became free on the other node' })

    const asked = (url: string, sessionId: string) => post(it, url, { sessionId, message: 'why?' })
    const first = await asked(it.one, 'a')
    expect(first.status).toBe(202)
    expect((await asked(it.two, 'b')).status).toBe(202)
    expect((await asked(it.two, 'c')).status).toBe(429)
    ;(await it.model.call(first.body.messageId)).end()
    await until(async () => (await asked(it.two, 'd')).status === 202)
  })

  test('has asked as often as on both', async () => {
    await using it = twoNodes(redis.url, { env: { RATE_CHATS_PER_MINUTE: '3' } })
    const ask = async (url: string) => await post(it, url, { message: 'why?' })
    for (const url of [it.one, it.two, it.one]) expect((await ask(url)).status).toBe(202)
    for (const url of [it.one, it.two]) {
      const many = await ask(url)
      expect(many.status).toBe(429)
      expect(Number(many.headers.get('retry-after'))).toBeGreaterThan(0)
    }
  })
})
