import { beforeAll, describe, expect, test } from 'bun:test'
import type { Generations } from '#gateway/generations/generations.ts'
import { faultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import {
  appendStep,
  beginStep,
  claimStep,
  eventsOf,
  faultsOf,
  finishStep,
  listen,
  newSession,
  runOf,
  textsOf,
} from './generations-kit.ts'
import { faultsOverEpochs } from './generations-redis-facts.ts'
import { Follower } from './generations-redis-follower.ts'
import { redisNodes } from './generations-redis-node.ts'
import { makeAnswer } from './generations-redis-owner.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})

const urlOf = (port: number) => `redis://127.0.0.1:${port}`

/** Answers through a proxy that fails them; followers on that node and on one with a sound way to Redis. */
async function throughFaults(disturb: (proxy: Awaited<ReturnType<typeof faultProxy>>) => void) {
  const { node, generations: sound, fixture } = await redisNodes(redis, { timeoutMs: 400 })
  const proxy = await faultProxy(redis.port)
  const shaky = node({ url: urlOf(proxy.port) })
  const sessions = Array.from({ length: 8 }, () => newSession())
  const timer = setInterval(() => disturb(proxy), 60)
  const followers = await Promise.all(
    sessions.map(async ({ sessionId }, index) => {
      const follower = new Follower(index % 2 === 0 ? shaky : sound, sessionId)
      for (;;) {
        try {
          await follower.start()
          return follower
        } catch {
          await Bun.sleep(20)
        }
      }
    }),
  )
  try {
    const made = await Promise.all(
      sessions.map((session) => makeAnswer(shaky, { session, chunks: 80, pauseMs: 8 })),
    )
    clearInterval(timer)
    proxy.flow()
    for (const [index, { begin, texts, outcome }] of made.entries()) {
      expect(outcome).toBe('completed')
      const { messageId, session } = begin
      const follower = followers[index]
      await until(
        () => {
          follower?.look()
          return follower?.ended.has(messageId)
        },
        { timeoutMs: 8_000, everyMs: 100, what: 'the end is shown' },
      )
      expect(follower?.faults).toEqual([])
      expect(follower?.shown.get(messageId)?.join('')).toBe(texts.join(''))
      const answers = new Map([[messageId, { texts, outcome: 'completed' }]])
      const events = await eventsOf(fixture, session.sessionId)
      expect(faultsOverEpochs(events, answers)).toEqual([])
      expect(faultsOf(events, texts.length + 2)).toEqual([])
    }
  } finally {
    clearInterval(timer)
    for (const follower of followers) follower[Symbol.dispose]()
  }
}

describe('a network that fails', () => {
  test('connections that break at any time lose and double nothing', async () => {
    await throughFaults((proxy) => proxy.cut())
  }, 30_000)

  test('commands that arrive late, after their repetition, do nothing', async () => {
    let late = 0
    await throughFaults((proxy) => proxy.cutLate(20 + 40 * (late++ % 6)))
  }, 30_000)

  test('connections that hang are thrown away, and nothing is lost or doubled', async () => {
    let count = 0
    await throughFaults((proxy) => {
      count += 1
      if (count % 14 === 4) proxy.stall()
      if (count % 14 === 13) proxy.flow()
    })
  }, 30_000)
})

/** Rejects, and within this time. */
async function rejectsWithin(ms: number, step: () => Promise<unknown>): Promise<void> {
  const from = performance.now()
  expect(
    await step().then(
      () => 'done',
      () => 'rejected',
    ),
  ).toBe('rejected')
  expect(performance.now() - from).toBeLessThan(ms)
}

async function isDownWithin(generations: Generations, ms: number): Promise<void> {
  await until(async () => (await generations.health()).state === 'down', { timeoutMs: ms })
}

describe('a Redis that is away', () => {
  test('one that hangs is down within 3 s and asked in vain for less than 5, then all goes on', async () => {
    const own = await startRedis()
    const { generations } = await redisNodes(own, { timeoutMs: 1_500 })
    const begin = beginStep(newSession())
    await generations.begin(begin)
    const ear = await listen({ generations }, begin.session.sessionId)
    own.pause()
    const asked = rejectsWithin(5_000, () => generations.begin(beginStep(newSession())))
    await isDownWithin(generations, 3_000)
    await asked
    await rejectsWithin(100, () => generations.append([appendStep(begin, 0, ['a'])]))
    own.resume()
    await until(async () => (await generations.health()).state === 'up')
    expect(await generations.append([appendStep(begin, 0, ['a'])])).toEqual([{ is: 'applied' }])
    await until(() => textsOf(ear.steps()).includes('a'))
    ear.close()
  }, 20_000)

  test('one that is dead refuses at once; one that comes late is waited for', async () => {
    const own = await startRedis()
    const { generations, node } = await redisNodes(own)
    const begin = beginStep(newSession())
    await generations.begin(begin)
    await own.stop()
    await isDownWithin(generations, 3_000)
    await rejectsWithin(200, () => generations.begin(beginStep(newSession())))
    const late = node()
    expect(await late.health()).toMatchObject({ state: 'down' })
    await own.start()
    await until(async () => (await late.health()).state === 'up')
    expect(await late.find(begin.messageId)).toMatchObject({ next: 0, status: 'queued' })
  }, 20_000)

  test('what must not be in its configuration is told', async () => {
    const own = await startRedis(['--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru'])
    const { generations } = await redisNodes(own)
    await until(async () => (await generations.health()).state === 'up')
    const told = async () => (await generations.health()).reason?.includes('allkeys-lru')
    await until(told)
    const { state, reason } = await generations.health()
    expect(state).toBe('up')
    expect(reason).toContain('maxmemory-policy is allkeys-lru')
    expect(reason).toContain('appendonly is no')
  })

  test('at 80 % of its memory no new answer begins, and those that run go on', async () => {
    const own = await startRedis()
    const { generations, client } = await redisNodes(own)
    const begin = beginStep(newSession())
    await generations.begin(begin)
    const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
    await client.configSet('maxmemory', `${Math.round(used / 0.85)}`)
    await until(async () => (await generations.health()).reason !== undefined)
    expect(await generations.begin(beginStep(newSession()))).toMatchObject({ is: 'full' })
    expect(await generations.append([appendStep(begin, 0, ['a'])])).toEqual([{ is: 'applied' }])
    const repeated = await generations.begin(begin)
    expect(repeated).toMatchObject({ is: 'already', messageId: begin.messageId })
  })
})

describe('nodes that fail', () => {
  test('a dead owner is found by its lease, and every node sees one end', async () => {
    const { node, generations: dead, fixture } = await redisNodes(redis)
    const living = node()
    const begin = beginStep(newSession(), { leaseMs: 300 })
    await dead.begin(begin)
    await dead.append([appendStep(begin, 0, ['a', 'b'])])
    const ear = await listen({ generations: living }, begin.session.sessionId)
    await dead[Symbol.asyncDispose]()
    await until(async () => (await living.lapsed()).includes(begin.messageId))
    const claim = claimStep(begin.messageId, { intent: 'owner_lost', onlyLapsed: true })
    const claimed = await living.claim(claim)
    expect(claimed).toMatchObject({ is: 'claimed', told: 0, generation: { next: 2 } })
    const owned = { ...begin, token: claim.token }
    const runs = [runOf(owned, 0, 2)]
    await living.finish(finishStep(owned, 2, { runs, outcome: 'interrupted' }))
    expect(ear.heard.map((live) => live.type)).toEqual(['claimed', 'steps'])
    ear.close()
    const { sessionId } = begin.session
    expect(faultsOf(await eventsOf({ ...fixture, generations: living }, sessionId), 4)).toEqual([])
  })

  test('an owner that was frozen is refused, and hears that it is none any more', async () => {
    const { node, generations: other } = await redisNodes(redis)
    const proxy = await faultProxy(redis.port)
    const frozen = node({ url: urlOf(proxy.port), timeoutMs: 10_000 })
    const begin = beginStep(newSession(), { leaseMs: 200 })
    await frozen.begin(begin)
    await frozen.append([appendStep(begin, 0, ['a'])])
    const ear = await listen({ generations: frozen }, begin.session.sessionId)
    proxy.stall()
    const late = frozen.append([appendStep(begin, 1, ['b'])])
    await until(async () => (await other.lapsed()).includes(begin.messageId))
    const claim = claimStep(begin.messageId, { intent: 'owner_lost', onlyLapsed: true })
    expect(await other.claim(claim)).toMatchObject({ is: 'claimed', generation: { next: 1 } })
    proxy.flow()
    expect(await late).toEqual([{ is: 'refused' }])
    await until(() => ear.heard.some((live) => live.type === 'claimed'))
    const owned = { ...begin, token: claim.token }
    const finish = finishStep(owned, 1, { runs: [runOf(owned, 0, 1)], outcome: 'interrupted' })
    expect(await other.finish(finish)).toEqual({ is: 'applied' })
    expect(await frozen.finish(finishStep(begin, 1))).toEqual({ is: 'refused' })
    await until(() => textsOf(ear.steps()).at(-1) === 'done')
    ear.close()
  })

  test('nothing is claimed for lapsed by a node that has just come back', async () => {
    const { node, generations } = await redisNodes(redis)
    const begin = beginStep(newSession(), { leaseMs: 50 })
    await generations.begin(begin)
    await until(async () => (await generations.lapsed()).includes(begin.messageId))
    const young = node({ settleMs: 1_000 })
    const claim = claimStep(begin.messageId, { intent: 'owner_lost', onlyLapsed: true })
    expect(await young.claim(claim)).toEqual({ is: 'alive' })
    expect(await young.lapsed()).toEqual([])
    await until(async () => (await young.lapsed()).includes(begin.messageId))
    expect(await young.claim(claim)).toMatchObject({ is: 'claimed' })
  })

  test('viewers on every node hear each step once and in order, whoever makes the answer', async () => {
    const { node, generations: first } = await redisNodes(redis)
    const second = node()
    const session = newSession()
    const ears = await Promise.all(
      [first, second].map((generations) => listen({ generations }, session.sessionId)),
    )
    const expected: string[] = []
    for (const owner of [first, second, first]) {
      const made = await makeAnswer(owner, { session, chunks: 30, pauseMs: 0 })
      expected.push('started', ...made.texts, 'done')
    }
    for (const ear of ears) {
      await until(() => ear.steps().length >= expected.length)
      expect(textsOf(ear.steps())).toEqual(expected)
      expect(ear.steps().map((step) => step.seq)).toEqual(expected.map((_, index) => index + 1))
      ear.close()
    }
  })

  test('a full outbox lets nothing begin until it is emptied, and drops nothing', async () => {
    const { generations, fixture, log } = await redisNodes(redis, { outboxMaxEvents: 64 })
    const begin = beginStep(newSession())
    await generations.begin(begin)
    const steps = [appendStep(begin, 0, ['a'], [runOf(begin, 0, 1)])]
    expect(await generations.append(steps)).toEqual([{ is: 'applied' }])
    await generations.finish(finishStep(begin, 1))
    const next = beginStep(begin.session)
    expect(await generations.begin(next)).toMatchObject({ is: 'full' })
    expect(await generations.begin(begin)).toMatchObject({ is: 'already' })
    expect(await generations.begin(beginStep(newSession('bob')))).toMatchObject({ is: 'applied' })
    await log.topics()
    expect(await generations.begin(next)).toMatchObject({ is: 'applied' })
    expect(faultsOf(await eventsOf(fixture, begin.session.sessionId), 4)).toEqual([])
  })
})
