import { describe, expect, test } from 'bun:test'
import { filesOf, startRedis } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { eventsOf, newSession } from './generations-kit.ts'
import { faultsOverEpochs } from './generations-redis-facts.ts'
import { Follower } from './generations-redis-follower.ts'
import { redisNodes } from './generations-redis-node.ts'
import { makeAnswer, stubborn } from './generations-redis-owner.ts'

async function setUp(flags: string[] = []) {
  const redis = await startRedis(flags)
  return { redis, ...(await redisNodes(redis)) }
}

describe('another life of Redis', () => {
  test('a restart amid an answer loses nothing, and no cursor from before holds', async () => {
    const { redis, generations, fixture } = await setUp()
    const session = newSession()
    using follower = new Follower(generations, session.sessionId)
    await generations.open({ session, at: Date.now(), ifAbsent: 'create' })
    await follower.start()
    const before: { epoch: number; seq: number }[] = []
    const made = await makeAnswer(generations, {
      session,
      chunks: 60,
      pauseMs: 2,
      async onChunk(written) {
        if (written < 20 * (before.length + 1) || before.length === 2) return
        await until(() => follower.cursor.seq > 0)
        before.push(follower.cursor)
        await redis.stop()
        await redis.start()
      },
    })
    expect(made.outcome).toBe('completed')
    const { messageId } = made.begin
    await until(() => follower.ended.has(messageId), { what: 'the end is shown' })
    expect(follower.shown.get(messageId)?.join('')).toBe(made.texts.join(''))
    expect(follower.faults).toEqual([])
    for (const cursor of before) {
      expect(await generations.read(session.sessionId, cursor, 10, 1_000)).toEqual({
        is: 'snapshot',
        reason: 'epoch',
      })
    }
    const answers = new Map([[messageId, { ...made, outcome: 'completed' }]])
    const events = await eventsOf(fixture, session.sessionId)
    expect(faultsOverEpochs(events, answers)).toEqual([])
    expect(new Set(events.map((event) => event['epoch'])).size).toBe(3)
    const found = await generations.find(messageId)
    expect(found).toMatchObject({ next: 60, outcome: 'completed' })
    // A page of the new epoch that neither begins nor ends the answer counts its chunks from its first epoch on.
    const { epoch = 0 } = found ?? {}
    const page = await generations.read(session.sessionId, { epoch, seq: 2 }, 3, 1_000)
    if (page.is !== 'steps') throw new Error(page.is)
    for (const step of page.steps) {
      if (step.type !== 'chunk') throw new Error(step.type)
      expect(step.text).toBe(made.texts[step.chunkIndex] ?? '')
    }
    expect(page.steps).toHaveLength(3)
  }, 30_000)

  test('an idle session goes on under a new epoch that names the one before', async () => {
    const { redis, generations, fixture } = await setUp()
    const session = newSession()
    await makeAnswer(generations, { session, chunks: 3, pauseMs: 0 })
    const first = await generations.snapshot(session.sessionId)
    await redis.stop()
    await redis.start()
    const opened = await stubborn(() =>
      generations.open({ session, at: Date.now(), ifAbsent: 'ask' }),
    )
    expect(opened).toMatchObject({ is: 'open', seq: 0 })
    await makeAnswer(generations, { session, chunks: 2, pauseMs: 0 })
    const second = await generations.snapshot(session.sessionId)
    expect(second?.history).toHaveLength(4)
    expect(second?.epoch).toBeGreaterThan(first?.epoch ?? 0)
    expect(faultsOverEpochs(await eventsOf(fixture, session.sessionId), new Map())).toEqual([])
  }, 30_000)

  test('an older copy of the files: the owner writes again what it had, whoever ended says so again', async () => {
    const { redis, generations, fixture, log } = await setUp(['--appendfsync', 'always'])
    const sessions = Array.from({ length: 6 }, () => newSession())
    const followers = sessions.map(({ sessionId }) => new Follower(generations, sessionId))
    await Promise.all(followers.map((follower) => follower.start()))
    let putBack: (() => void) | null = null
    let isSwapped = false
    const swap = async () => {
      await log.topics()
      await redis.kill()
      putBack?.()
      await redis.start()
    }
    // The first of them end before the loss, the others go on through it; some begin after the copy.
    const makers = sessions.map(async (session, index) => {
      if (index % 3 === 2) await until(() => putBack !== null, { timeoutMs: 10_000 })
      return await makeAnswer(generations, {
        session,
        chunks: index < 3 ? 20 : 60,
        pauseMs: 5,
        async onChunk(written) {
          if (index === 0 && written >= 9) putBack ??= filesOf(redis.dir)
          if (index !== 3 || written < 40 || isSwapped) return
          isSwapped = true
          await swap()
        },
      })
    })
    const made = await Promise.all(makers)
    await until(
      async () => {
        const ends = made.map(({ begin }) => generations.find(begin.messageId))
        return (await Promise.all(ends)).every((found) => found?.outcome === 'completed')
      },
      { timeoutMs: 10_000, what: 'every answer has its end again' },
    )
    for (const [index, { begin, texts, outcome }] of made.entries()) {
      expect(outcome).toBe('completed')
      const found = await generations.find(begin.messageId)
      expect(found?.message?.content).toBe(texts.join(''))
      expect(found?.next).toBe(texts.length)
      const answers = new Map([[begin.messageId, { texts, outcome: 'completed' }]])
      const events = await eventsOf(fixture, begin.session.sessionId)
      expect(faultsOverEpochs(events, answers, { isLossy: true })).toEqual([])
      const follower = followers[index]
      await until(() => follower?.ended.has(begin.messageId))
      expect(follower?.shown.get(begin.messageId)?.join('')).toBe(texts.join(''))
      expect(follower?.faults).toEqual([])
      follower?.[Symbol.dispose]()
    }
  }, 60_000)
})
