import { beforeAll, expect, test } from 'bun:test'
import { demoModel } from '#gateway/models/demo.ts'
import { faultsOf } from '../contract/generations-kit.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { seeded } from '../support/seeded.ts'
import { type Nodes, twoNodes } from '../support/two-nodes.ts'
import { until } from '../support/until.ts'
import { Watcher } from '../support/watcher.ts'

const sessions = 12
const questions = 6
const contents = ['/long 60', '/long 25', '/reasoning /long 40', '/long 30 /error connection 7']
const patience = { timeoutMs: 20_000, everyMs: 10 }

let redis: RedisServer

beforeAll(async () => {
  redis = await startRedis()
})

interface Asked {
  messageId: string
  /** What a cancel was told. */
  stands?: string
}

/** A tab that changes the node all the time, until it is told to stay. */
async function hopping(it: Nodes, watcher: Watcher, random: () => number, signal: AbortSignal) {
  while (!signal.aborted) {
    await watcher.connect(random() < 0.5 ? it.one : it.two)
    await until(() => watcher.isLive, { ...patience, what: 'live' })
    await Bun.sleep(random() * 120)
    if (!signal.aborted) await watcher.close()
  }
}

/** Asks one question after the other, each at any node, some of them twice; and cancels some at any node. */
async function asking(it: Nodes, sessionId: string, random: () => number): Promise<Asked[]> {
  const anywhere = () => (random() < 0.5 ? it.one : it.two)
  const all: Asked[] = []
  for (let nth = 0; nth < questions; nth += 1) {
    const message = contents[Math.floor(random() * contents.length)] ?? ''
    const body = { sessionId, message }
    const headers = { 'idempotency-key': `${nth}` }
    const ask = () => it.call('POST', '/api/chat', { url: anywhere(), body, headers })
    const answers = await Promise.all(random() < 0.3 ? [ask(), ask()] : [ask()])
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202))
    const asked: Asked = { messageId: answers[0]?.body.messageId }
    expect(new Set(answers.map((answer) => answer.body.messageId)).size).toBe(1)
    all.push(asked)
    const { messageId } = asked
    if (random() < 0.3) {
      await Bun.sleep(random() * 80)
      const told = await it.call('POST', '/api/cancel', { url: anywhere(), body: { messageId } })
      asked.stands = told.body.outcome
    }
    const isOver = async () => {
      const { body: found } = await it.call('GET', `/api/messages/${messageId}`, {
        url: anywhere(),
      })
      return found.status === 'finished'
    }
    await until(isOver, { ...patience, what: 'the answer ends' })
  }
  return all
}

async function told(it: Nodes, sessionId: string, asked: readonly Asked[]): Promise<void> {
  const events = (await it.log.events()).filter((event) => event.sessionId === sessionId)
  const top = (await it.generations.snapshot(sessionId))?.seq ?? 0
  expect(faultsOf(events, top)).toEqual([])
  const ends = events.filter(({ eventType }) =>
    /^STREAM_(COMPLETED|CANCELLED|ERROR)$/.test(eventType),
  )
  const ids = asked.map(({ messageId }) => messageId).sort()
  expect(ends.map((event) => event['messageId'] as string).sort()).toEqual(ids)
}

test('tabs that change the node all the time see every answer whole, however it is asked and ended', async () => {
  const model = demoModel({ tokensPerSecond: 300, firstTokenMs: 5 })
  await using it = twoNodes(redis.url, { model })
  const stay = new AbortController()
  const lots = Array.from({ length: sessions }, (_, at) => {
    const sessionId = `churn-${at}`
    const random = seeded(1_000 + at)
    const tabs = [new Watcher(sessionId), new Watcher(sessionId), new Watcher(sessionId)]
    const hops = tabs.map((tab, nth) => hopping(it, tab, seeded(at * 10 + nth), stay.signal))
    return { sessionId, tabs, hops, asked: asking(it, sessionId, random) }
  })
  const all = await Promise.all(lots.map(({ asked }) => asked))
  stay.abort()
  await Promise.all(lots.flatMap(({ hops }) => hops))
  for (const [at, { sessionId, tabs }] of lots.entries()) {
    const asked = all[at] ?? []
    const histories = await Promise.all(
      [it.one, it.two].map((url) => it.call('GET', `/api/history/${sessionId}`, { url })),
    )
    const [history, other] = histories.map(({ body }) => body.messages)
    expect(other).toEqual(history)
    const answers = history.filter(({ role }: { role: string }) => role === 'assistant')
    expect(answers.map(({ messageId }: { messageId: string }) => messageId)).toEqual(
      asked.map(({ messageId }) => messageId),
    )
    for (const tab of tabs) {
      await until(() => tab.isDone, { ...patience, what: 'the tab has every end' })
      expect(tab.faults).toEqual([])
      expect(tab.misfits).toEqual([])
      for (const [nth, { messageId, stands }] of asked.entries()) {
        const seen = tab.answers.get(messageId)
        // One that had begun and ended before the tab was there for the first time is in its history alone.
        if (seen === undefined) continue
        const text = seen.chunks.filter((_, chunk) => seen.kinds[chunk] === 'text').join('')
        expect(text).toBe(answers[nth].content)
        expect(seen.done?.outcome).toBe(answers[nth].outcome)
        if (stands !== undefined) expect(seen.done?.outcome).toBe(stands as 'cancelled')
      }
      expect(tab.answers.size).toBeGreaterThanOrEqual(questions - 1)
      await tab.close()
    }
    await told(it, sessionId, asked)
  }
}, 120_000)
