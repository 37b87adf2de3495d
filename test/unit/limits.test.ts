import { describe, expect, test } from 'bun:test'
import type { Who } from '#gateway/chat/asks.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import type { LimitsConfig } from '#gateway/limits/limits.ts'
import { memoryLimits } from '#gateway/limits/memory-limits.ts'

const none: LimitsConfig = {
  chatsPerMinute: 0,
  requestsPerMinute: 0,
  generationsPerUser: 0,
  connectionsPerUser: 0,
  connections: 0,
}

const who = (userId: string, tenantId = 'default'): Who => ({ userId, tenantId, roles: [] })
const ann = who('ann')

function limits(config: Partial<LimitsConfig>) {
  const clock = { ms: 1_000_000 }
  return { clock, ...memoryLimits({ ...none, ...config }, () => clock.ms) }
}

async function refused(call: Promise<unknown>): Promise<ContractError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ContractError) return error
  throw new Error('not refused')
}

describe('calls a minute', () => {
  test('so many are taken, the next is told when to come again', async () => {
    const { chat, clock } = limits({ chatsPerMinute: 3 })
    for (let call = 0; call < 3; call += 1) await chat(ann)
    const error = await refused(chat(ann))
    expect(error.code).toBe('rate_limited')
    expect(error.details.retryAfterMs).toBe(20_000)
    clock.ms += 19_999
    expect((await refused(chat(ann))).details.retryAfterMs).toBe(1_000)
    clock.ms += 1
    await chat(ann)
    await refused(chat(ann))
  })

  test('after an idle minute all of them are there again, and no more', async () => {
    const { request, clock } = limits({ requestsPerMinute: 600 })
    for (let minute = 0; minute < 3; minute += 1) {
      for (let call = 0; call < 600; call += 1) await request(ann)
      await refused(request(ann))
      clock.ms += 60_000
    }
  })

  test('are counted for each user of each tenant', async () => {
    const { chat } = limits({ chatsPerMinute: 1 })
    await chat(ann)
    await chat(who('bob'))
    await chat(who('ann', 'other'))
    await refused(chat(ann))
  })

  test('questions and calls are counted apart', async () => {
    const { chat, request } = limits({ chatsPerMinute: 1, requestsPerMinute: 1 })
    await chat(ann)
    await request(ann)
    await refused(chat(ann))
    await refused(request(ann))
  })

  test('without a limit nothing is refused', async () => {
    const { chat, request } = limits({})
    for (let call = 0; call < 2_000; call += 1) {
      await chat(ann)
      await request(ann)
    }
  })
})

describe('at a time', () => {
  test('so many connections of a user, until one is released', async () => {
    const { connect } = limits({ connectionsPerUser: 2 })
    const first = await connect(ann)
    await connect(ann)
    expect((await refused(connect(ann))).code).toBe('rate_limited')
    await connect(who('bob'))
    first.release()
    await connect(ann)
    await refused(connect(ann))
  })

  test('releasing twice frees one place', async () => {
    const { generate } = limits({ generationsPerUser: 2 })
    const first = await generate(ann)
    await generate(ann)
    first.release()
    first.release()
    await generate(ann)
    await refused(generate(ann))
  })

  test('the connections of a node have a limit whoever they are of, and a refused one takes no place', async () => {
    const { connect } = limits({ connectionsPerUser: 1, connections: 2 })
    const first = await connect(ann)
    await refused(connect(ann))
    await refused(connect(ann))
    await connect(who('bob'))
    expect((await refused(connect(who('eve')))).code).toBe('rate_limited')
    first.release()
    await connect(who('eve'))
  })
})
