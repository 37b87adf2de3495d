import { expect, test } from 'bun:test'
import type { Outcome } from '#gateway/generations/generations.ts'
import type { Finish } from '#gateway/generations/steps.ts'
import {
  answer,
  appendStep,
  beginStep,
  claimStep,
  eraseStep,
  eventsOf,
  type Fixture,
  faultsOf,
  finishStep,
  type MakeFixture,
  newSession,
  type Owned,
  runOf,
} from './generations-kit.ts'

/** Ends an answer as whoever holds the token. */
function ending(owned: Owned, next: number, told: number, outcome: Outcome): Finish {
  return finishStep(owned, next, { outcome, runs: told < next ? [runOf(owned, told, next)] : [] })
}

async function begun({ generations }: Fixture, leaseMs = 10_000) {
  const begin = beginStep(newSession(), { leaseMs })
  await generations.begin(begin)
  await generations.append([appendStep(begin, 0, ['a', 'b', 'c'], [runOf(begin, 0, 2)])])
  return begin
}

/** Who may end an answer: the owner, or one claimer at a time. */
export function claimsContract(make: MakeFixture): void {
  test('a claimer owns the answer: the old owner is refused, its own end stands', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture)
    const claim = claimStep(begin.messageId)
    const claimed = await generations.claim(claim)
    expect(claimed).toMatchObject({ is: 'claimed', intent: 'user', told: 2 })
    if (claimed.is !== 'claimed') return
    expect(claimed.generation).toMatchObject({ next: 3, startedSeq: 1, messageId: begin.messageId })
    const late = [
      appendStep(begin, 3, ['d']),
      appendStep(begin, 0, ['a', 'b', 'c'], [runOf(begin, 0, 2)]),
    ]
    const refused = [{ is: 'refused' as const }, { is: 'refused' as const }]
    expect(await generations.append(late)).toEqual(refused)
    expect(await generations.finish(ending(begin, 3, 2, 'completed'))).toEqual({ is: 'refused' })
    const owned = { ...begin, token: claim.token }
    const finish = ending(owned, 3, claimed.told, 'cancelled')
    expect(await generations.finish(finish)).toEqual({ is: 'applied' })

    expect(await generations.append(late)).toEqual(refused)
    expect(await generations.finish(ending(begin, 3, 2, 'completed'))).toEqual({ is: 'refused' })
    expect(await generations.finish(finish)).toEqual({ is: 'already', outcome: 'cancelled' })
    for (const token of [claim.token, begin.token, 'other']) {
      const again = await generations.claim({ ...claim, token })
      expect(again).toMatchObject({ is: 'ended', outcome: 'cancelled' })
    }
    expect(faultsOf(await eventsOf(fixture, begin.session.sessionId), 5)).toEqual([])
  })

  test('a claim that is done again answers as the first time, and the first intent stands', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture)
    const claim = claimStep(begin.messageId, { intent: 'user' })
    const first = await generations.claim(claim)
    expect(await generations.claim({ ...claim, intent: 'timeout' })).toEqual(first)
    expect(await generations.claim(claim)).toEqual(first)
    await fixture.advance(600)
    const second = claimStep(begin.messageId, { intent: 'abandoned' })
    expect(await generations.claim(second)).toMatchObject({ is: 'claimed', intent: 'user' })
    const refused = ending({ ...begin, token: claim.token }, 3, 2, 'cancelled')
    expect(await generations.finish(refused)).toEqual({ is: 'refused' })
  })

  test("an owner may claim its own answer, with the others' rules from then on", async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture)
    const own = claimStep(begin.messageId, { intent: 'shutdown', token: begin.token })
    expect(await generations.claim(own)).toMatchObject({ is: 'claimed', intent: 'shutdown' })
    expect(await generations.claim(claimStep(begin.messageId))).toEqual({ is: 'wait' })
    const finish = ending(begin, 3, 2, 'interrupted')
    expect(await generations.finish(finish)).toEqual({ is: 'applied' })
  })

  test('of many claimers at once one wins and the others wait for its end', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture)
    const claims = Array.from({ length: 20 }, () => claimStep(begin.messageId))
    const results = await Promise.all(claims.map((claim) => generations.claim(claim)))
    const winners = claims.filter((_, index) => results[index]?.is === 'claimed')
    expect(winners).toHaveLength(1)
    expect(results.filter((result) => result.is === 'wait')).toHaveLength(19)
    const token = winners[0]?.token ?? ''
    await generations.finish(ending({ ...begin, token }, 3, 2, 'cancelled'))
    for (const claim of claims) {
      expect(await generations.claim(claim)).toMatchObject({ is: 'ended', outcome: 'cancelled' })
    }
  })

  test('a claimer whose lease is over is not waited for', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture)
    const dead = claimStep(begin.messageId, { leaseMs: 100 })
    expect(await generations.claim(dead)).toMatchObject({ is: 'claimed' })
    expect(await generations.claim(claimStep(begin.messageId))).toEqual({ is: 'wait' })
    await fixture.advance(150)
    expect(await generations.claim(claimStep(begin.messageId))).toMatchObject({ is: 'claimed' })
  })

  test('a sweep takes only what has lapsed', async () => {
    const fixture = await make()
    const { generations } = fixture
    const dead = await begun(fixture, 200)
    const alive = await begun(fixture, 200)
    const sweep = (messageId: string) =>
      generations.claim(claimStep(messageId, { intent: 'owner_lost', onlyLapsed: true }))
    expect(await generations.lapsed()).toEqual([])
    expect(await sweep(dead.messageId)).toEqual({ is: 'alive' })
    const leases = [
      { messageId: alive.messageId, token: alive.token, leaseMs: 10_000 },
      { messageId: dead.messageId, token: 'other', leaseMs: 10_000 },
      { messageId: 'nobody', token: 'other', leaseMs: 10_000 },
    ]
    expect(await generations.renew(leases)).toEqual([true, false, false])
    await fixture.advance(250)
    expect(await generations.lapsed()).toEqual([dead.messageId])
    expect(await sweep(alive.messageId)).toEqual({ is: 'alive' })
    expect(await sweep(dead.messageId)).toMatchObject({ is: 'claimed', intent: 'owner_lost' })
    expect(await generations.lapsed()).toEqual([])
    expect(await sweep(dead.messageId)).toEqual({ is: 'alive' })
    await fixture.advance(10_500)
    expect((await generations.lapsed()).sort()).toEqual([alive.messageId, dead.messageId].sort())
  })

  test('a lapsed owner that nobody has claimed goes on', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture, 100)
    await fixture.advance(150)
    expect(await generations.append([appendStep(begin, 3, ['d'])])).toEqual([{ is: 'applied' }])
    const leases = [{ messageId: begin.messageId, token: begin.token, leaseMs: 10_000 }]
    expect(await generations.renew(leases)).toEqual([true])
    expect(await generations.lapsed()).toEqual([])
  })

  test('an ended answer has no lease, no claimer and one outcome', async () => {
    const fixture = await make()
    const { generations } = fixture
    const { begin, finish } = await answer(fixture, newSession(), ['a'])
    const { messageId, token } = begin
    expect(await generations.renew([{ messageId, token, leaseMs: 10_000 }])).toEqual([false])
    await fixture.advance(20_000)
    expect(await generations.lapsed()).toEqual([])
    const other = { ...finish, outcome: 'failed' as const }
    expect(await generations.finish(other)).toEqual({ is: 'already', outcome: 'completed' })
    expect(await generations.append([appendStep(begin, 1, ['b'])])).toEqual([{ is: 'refused' }])
    const claimed = await generations.claim(claimStep(messageId))
    expect(claimed).toMatchObject({ is: 'ended', outcome: 'completed' })
    if (claimed.is !== 'ended') return
    expect(claimed.generation).toMatchObject({ status: 'finished', message: finish.message })
  })

  test('what nobody knows is unknown, and lost to who believes to own it', async () => {
    const { generations } = await make()
    const begin = beginStep(newSession())
    expect(await generations.claim(claimStep(begin.messageId))).toEqual({ is: 'unknown' })
    expect(await generations.claim(claimStep(begin.userMessageId))).toEqual({ is: 'unknown' })
    expect(await generations.append([appendStep(begin, 0, ['a'])])).toEqual([{ is: 'lost' }])
    expect(await generations.finish(finishStep(begin, 0))).toEqual({ is: 'lost' })
    expect(await generations.find(begin.messageId)).toBeNull()
    await generations.begin(begin)
    expect(await generations.claim(claimStep(begin.userMessageId))).toEqual({ is: 'unknown' })
  })

  test('repeated claims and ends of an erased session change nothing', async () => {
    const fixture = await make()
    const { generations } = fixture
    const begin = await begun(fixture)
    const claim = claimStep(begin.messageId, { intent: 'erased' })
    await generations.claim(claim)
    const finish = ending({ ...begin, token: claim.token }, 3, 2, 'cancelled')
    await generations.finish(finish)
    await generations.erase(eraseStep(begin.session))
    expect(await generations.finish(finish)).toEqual({ is: 'already', outcome: 'cancelled' })
    expect(await generations.claim(claim)).toMatchObject({ is: 'ended', outcome: 'cancelled' })
    expect(await generations.append([appendStep(begin, 3, ['late'])])).toEqual([{ is: 'refused' }])
    const found = await generations.find(begin.messageId)
    expect(found).toMatchObject({ erased: true, outcome: 'cancelled', status: 'finished' })
    expect(found).not.toHaveProperty('message')
    expect(faultsOf(await eventsOf(fixture, begin.session.sessionId), 6)).toEqual([])
  })
}
