import { beforeAll, expect, test } from 'bun:test'
import type { SessionRef } from '#gateway/generations/generations.ts'
import { redisGenerations } from '#gateway/generations/redis/redis-generations.ts'
import { shardOfSession } from '#gateway/generations/redis/shards.ts'
import { faultProxy } from '../support/fault-proxy.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'
import { atEnd } from '../support/tracker.ts'
import { until } from '../support/until.ts'
import { appendStep, beginStep, newSession } from './generations-kit.ts'
import { nodeOptions } from './generations-redis-fixture.ts'

// A list of two servers, the second behind a proxy.

const patience = { timeoutMs: 15_000, everyMs: 20 }

let servers: [RedisServer, RedisServer]
beforeAll(async () => {
  servers = [await startRedis(), await startRedis()]
})

async function onTwoServers() {
  const [first, second] = servers
  const way = await faultProxy(second.port)
  const url = `${first.url},redis://127.0.0.1:${way.port}`
  const generations = redisGenerations(nodeOptions(url, { timeoutMs: 1_000 }))
  atEnd(async () => await generations[Symbol.asyncDispose]())
  const begun = async (on: 0 | 1) => {
    const begin = beginStep(sessionOn(on), { leaseMs: 500 })
    expect(await generations.begin(begin)).toMatchObject({ is: 'applied' })
    return begin
  }
  return { generations, way, here: await begun(0), there: await begun(1) }
}

function sessionOn(server: 0 | 1): SessionRef {
  for (;;) {
    const session = newSession()
    if (shardOfSession(session.sessionId) % 2 === server) return session
  }
}

test('while one server is away, steps on the other are taken and the rest is not known', async () => {
  const { generations, way, here, there } = await onTwoServers()
  const both = (next: number, text: string) => [
    appendStep(here, next, [text]),
    appendStep(there, next, [text]),
  ]
  expect(await generations.append(both(0, 'a'))).toEqual([{ is: 'applied' }, { is: 'applied' }])
  way.refuse()
  const [first, second] = await generations.append(both(1, 'b'))
  expect([first?.is, second?.is]).toEqual(['applied', 'unknown'])
  // The first is safe to repeat, the second has perhaps happened.
  way.accept()
  const again = async () => {
    const results = await generations.append(both(1, 'b'))
    return results.every(({ is }) => is === 'applied' || is === 'already')
  }
  await until(again, { ...patience, what: 'the other server takes the step too' })
  for (const { messageId } of [here, there]) {
    expect((await generations.find(messageId))?.next).toBe(2)
  }
})

test('while one server is away, answers without an owner on the other are found', async () => {
  const { generations, way, here } = await onTwoServers()
  way.refuse()
  await until(async () => (await generations.health()).degraded, patience)
  const isFound = async () => (await generations.lapsed()).includes(here.messageId)
  await until(isFound, { ...patience, what: 'the answer on the other server' })
})

test('hot state is down only when all of its servers are away', async () => {
  const { generations, way } = await onTwoServers()
  way.refuse()
  await until(async () => (await generations.health()).degraded, patience)
  const { state, reason } = await generations.health()
  expect(state).toBe('up')
  expect(reason).toContain('1 of 2 servers are away')
  way.accept()
  const isWhole = async () => !(await generations.health()).reason?.includes('away')
  await until(isWhole, { ...patience, what: 'both servers are there' })
})

test('what goes to servers that are all away rejects', async () => {
  const { generations, way, there } = await onTwoServers()
  way.refuse()
  await until(async () => (await generations.health()).degraded, patience)
  await expect(generations.append([appendStep(there, 0, ['a'])])).rejects.toThrow()
})
