import { expect, test } from 'bun:test'
import { memoryLimits } from '#gateway/limits/memory-limits.ts'
import { ann, limitsContract, noLimits, refused } from '../contract/limits.ts'

limitsContract(async (config) => {
  const clock = { ms: 1_000_000 }
  return {
    limits: memoryLimits({ ...noLimits, ...config }, () => clock.ms),
    advance(ms) {
      clock.ms += ms
    },
  }
})

test('a call is taken at the millisecond that was told', async () => {
  const clock = { ms: 1_000_000 }
  const { chat } = memoryLimits({ ...noLimits, chatsPerMinute: 3 }, () => clock.ms)
  for (let call = 0; call < 3; call += 1) await chat(ann)
  expect((await refused(chat(ann))).details.retryAfterMs).toBe(20_000)
  clock.ms += 19_999
  expect((await refused(chat(ann))).details.retryAfterMs).toBe(1_000)
  clock.ms += 1
  await chat(ann)
  await refused(chat(ann))
})
