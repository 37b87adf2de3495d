import { describe, expect, test } from 'bun:test'
import { endPath } from '#gateway/chat/answers/end-path.ts'
import type { Generations } from '#gateway/generations/generations.ts'
import { faultProxy } from '../support/fault-proxy.ts'
import { filesOf, startRedis } from '../support/redis.ts'
import { seeded } from '../support/seeded.ts'
import { until } from '../support/until.ts'
import { eventsOf, type Fixture, newSession, type Told } from './generations-kit.ts'
import { faultsOverEpochs } from './generations-redis-facts.ts'
import { Follower } from './generations-redis-follower.ts'
import { redisNodes } from './generations-redis-node.ts'
import { type Made, makeAnswer, stubborn } from './generations-redis-owner.ts'

const seeds = [1, 2, 3, 4]
const sessionsMax = 10
const attackMs = 2_500

type Random = () => number

/** Ends an answer from another node, as a cancel does; an attempt that fails is made again. */
async function cancel(generations: Generations, messageId: string): Promise<void> {
  const end = endPath({
    generations,
    nodeId: 'n2',
    eventContent: 'full',
    chunkEventMs: 1_000,
    leaseMs: 400,
    now: Date.now,
  })
  await stubborn(() => end(messageId, 'user'))
}

/** What stands at the end of an answer: in hot state, in the events, before a viewer. */
async function check(fixture: Fixture, made: Made, follower: Follower): Promise<void> {
  const { messageId, session } = made.begin
  const found = await fixture.generations.find(messageId)
  // Redis forgot its beginning, and its owner had been told to stop: nobody knows of it any more.
  if (found === null && made.outcome === null) return
  expect(found?.status).toBe('finished')
  const written = made.texts.slice(0, found?.next).join('')
  expect(found?.message?.content).toBe(made.outcome === null ? written : made.texts.join(''))
  if (made.outcome !== null) expect(found?.outcome).toBe(made.outcome)
  const events = await eventsOf(fixture, session.sessionId)
  const texts = made.texts.slice(0, found?.next)
  const answers = new Map([[messageId, { texts, outcome: found?.outcome ?? '' }]])
  expect(faultsOverEpochs(events, answers, { isLossy: true })).toEqual([])
  expect(lastEnd(events, messageId)).toBe(
    found?.outcome === 'completed' ? 'STREAM_COMPLETED' : 'STREAM_CANCELLED',
  )
  await until(
    () => {
      follower.look()
      return follower.ended.has(messageId)
    },
    { everyMs: 50, what: 'the end is shown' },
  )
  expect(follower.shown.get(messageId)?.join('')).toBe(found?.message?.content ?? '')
  expect(follower.faults).toEqual([])
}

/** That of the highest place stands. */
function lastEnd(events: readonly Told[], messageId: string): string | undefined {
  const ends = events.filter(
    (event) =>
      event['messageId'] === messageId && /^STREAM_(COMPLETED|CANCELLED)$/.test(event.eventType),
  )
  ends.sort(
    (one, other) =>
      Number(one['epoch']) - Number(other['epoch']) || Number(one['seq']) - Number(other['seq']),
  )
  return ends.at(-1)?.eventType
}

/** One fault after the other: broken and late connections, restarts, crashes, and older copies of Redis' files. */
async function attack(
  random: Random,
  { redis, proxy, log }: Awaited<ReturnType<typeof arena>>,
): Promise<void> {
  let putBack: (() => void) | null = null
  const until = performance.now() + attackMs
  while (performance.now() < until) {
    const choice = Math.floor(random() * 8)
    if (choice < 2) proxy.cut()
    else if (choice < 4) proxy.cutLate(Math.floor(random() * 200))
    else if (choice < 5) putBack = filesOf(redis.dir)
    else {
      // What was relayed by then is in the log; all else is lost with an older copy.
      if (random() < 0.5) await log.topics()
      if (choice < 6) await redis.stop()
      else await redis.kill()
      if (choice === 7) putBack?.()
      await redis.start()
    }
    await Bun.sleep(50 + random() * 250)
  }
}

async function arena() {
  const redis = await startRedis(['--appendfsync', 'always'])
  const proxy = await faultProxy(redis.port)
  const nodes = await redisNodes(redis, { timeoutMs: 500 })
  const shaky = nodes.node({ url: `redis://127.0.0.1:${proxy.port}` })
  return { redis, proxy, shaky, ...nodes }
}

describe('Redis and its network under attack', () => {
  for (const seed of seeds) {
    test(`every answer has one end, whole, before every viewer and in the log (seed ${seed})`, async () => {
      const random = seeded(seed)
      const scene = await arena()
      const { shaky, generations, fixture } = scene
      const sessions = Array.from({ length: sessionsMax }, () => newSession())
      const followers = sessions.map(
        ({ sessionId }, index) => new Follower(index % 2 === 0 ? generations : shaky, sessionId),
      )
      await Promise.all(followers.map((follower) => stubborn(() => follower.start())))
      const cancels: Promise<void>[] = []
      const making = sessions.map((session, index) => {
        const owner = index % 3 === 0 ? generations : shaky
        const cancelAt = index % 5 === 4 ? 20 + Math.floor(random() * 60) : Number.POSITIVE_INFINITY
        let isCancelled = false
        return makeAnswer(owner, {
          session,
          chunks: 150,
          pauseMs: 15,
          onChunk(written, messageId) {
            if (written < cancelAt || isCancelled) return
            isCancelled = true
            cancels.push(cancel(generations, messageId))
          },
        })
      })
      await attack(random, scene)
      const made = await Promise.all(making)
      await Promise.all(cancels)
      await until(
        async () => {
          const found = await Promise.all(
            made.map(({ begin }) => stubborn(() => generations.find(begin.messageId))),
          )
          return found.every((each, index) =>
            each === null ? made[index]?.outcome === null : each.status === 'finished',
          )
        },
        { timeoutMs: 8_000, everyMs: 50, what: 'every answer has its end' },
      )
      for (const [index, each] of made.entries()) {
        const follower = followers[index]
        if (follower !== undefined) await check(fixture, each, follower)
        follower?.[Symbol.dispose]()
      }
    }, 60_000)
  }
})
