import { beforeAll, describe, expect, test } from 'bun:test'
import { seeded } from '../support/seeded.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { areAccepted, haveEnded, haveText, outcomesOf, startChats } from '../support/stack-chats.ts'
import { expectFacts } from '../support/stack-facts.ts'
import { until } from '../support/until.ts'

let stack: Stack

beforeAll(async () => {
  stack = await startStack({ env: { DRAIN_TIMEOUT_MS: '30000' } })
}, 120_000)

const asking = (name: string, count: number, seconds: number) =>
  startChats(stack.url, name, { count, seconds })

describe('a gateway', () => {
  test('that is killed in the middle: its answers are interrupted, the other’s are whole, and nobody loses a word', async () => {
    const chats = asking('killed', 20, 8)
    await haveText(chats)
    const [victim] = stack.gateways
    if (victim === undefined) throw new Error('no gateway')
    await victim.process.kill('SIGKILL')
    stack.leaveOut(victim)
    const fromMs = performance.now()
    await until(() => chats.some(({ outcome }) => outcome === 'interrupted'), {
      ...{ timeoutMs: 20_000, everyMs: 25 },
      what: 'an answer of the killed gateway is interrupted',
    })
    await haveEnded(chats)
    const interrupted = chats.filter(({ outcome }) => outcome === 'interrupted')
    expect(performance.now() - fromMs).toBeLessThan(30_000)
    expect(outcomesOf(chats)).toEqual(['completed', 'interrupted'])
    expect(interrupted.length).toBeLessThan(chats.length)
    await stack.bringBack(victim)
    await expectFacts(stack, chats)
  }, 180_000)

  test('that drains keeps its answers to their end, watched from the other; so a deploy is noticed by nobody', async () => {
    const chats = asking('deploy', 16, 10)
    await haveText(chats)
    for (const gateway of stack.gateways) {
      stack.leaveOut(gateway)
      const { code } = await gateway.process.kill('SIGTERM')
      expect(code).toBe(0)
      await stack.bringBack(gateway)
    }
    await haveEnded(chats)
    expect(outcomesOf(chats)).toEqual(['completed'])
    expect(chats.flatMap(({ watcher }) => watcher.errors)).toEqual([])
    await expectFacts(stack, chats)
  }, 180_000)

  test('and the other too, killed at once: what was accepted ends, when they are back', async () => {
    const chats = asking('both', 12, 8)
    await areAccepted(chats)
    await haveText(chats)
    await Promise.all(stack.gateways.map(({ process }) => process.kill('SIGKILL')))
    for (const gateway of stack.gateways) stack.leaveOut(gateway)
    await Promise.all(stack.gateways.map((gateway) => stack.bringBack(gateway)))
    await haveEnded(chats)
    expect(outcomesOf(chats)).toEqual(['interrupted'])
    await expectFacts(stack, chats)
  }, 180_000)
})

describe('a relay', () => {
  test('that is killed again and again, and its Kafka client too, loses nothing', async () => {
    const chats = asking('relay', 16, 10)
    await haveText(chats)
    const random = seeded(11)
    for (let kill = 0; kill < 4; kill += 1) {
      await Bun.sleep(300 + random() * 900)
      const lines = stack.relay.process.lines()
      const client = lines.findLast(({ msg }) => msg === 'the Kafka client runs')
      if (kill % 2 === 0) await stack.relay.process.kill('SIGKILL')
      else process.kill(Number(client?.['pid']), 'SIGKILL')
      if (kill % 2 === 0) await stack.relay.start()
    }
    await haveEnded(chats)
    expect(outcomesOf(chats)).toEqual(['completed'])
    await expectFacts(stack, chats)
  }, 180_000)
})
