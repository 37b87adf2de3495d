import { expect, test } from 'bun:test'
import type { Append, Begin, Claim, Erase, Finish, Run } from '#gateway/generations/steps.ts'
import {
  appendStep,
  beginStep,
  claimStep,
  eraseStep,
  eventsOf,
  type Fixture,
  faultsOf,
  finishStep,
  listen,
  type MakeFixture,
  newSession,
  readAll,
  runOf,
  textsOf,
} from './generations-kit.ts'

/** A session as simply as can be said. */
interface ModelSession {
  session: ReturnType<typeof newSession>
  /** What stands at each seq, from 1. */
  steps: string[]
  keptFrom: number
  active: ModelAnswer | null
  answers: ModelAnswer[]
  erasures: { step: Erase; seq: number }[]
}

interface ModelAnswer {
  begin: Begin
  token: string
  next: number
  told: number
  appends: { step: Append; token: string }[]
  claims: Claim[]
  intent: string | null
  finish: Finish | null
}

type Random = (below: number) => number

/** Mulberry32: small, seeded, good enough to pick operations. */
function randomOf(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

const seeds = 12
const operations = 250

/** Random steps and repetitions of old ones, compared with the model after each. */
export function modelContract(make: MakeFixture): void {
  for (let seed = 1; seed <= seeds; seed += 1) {
    test(`random steps do what the model does (seed ${seed})`, async () => {
      const fixture = await make()
      const random = randomOf(seed)
      const models = Array.from({ length: 3 }, newModel)
      const ears = await Promise.all(
        models.map(({ session }) => listen(fixture, session.sessionId)),
      )
      for (let count = 0; count < operations; count += 1) {
        const model = models[random(models.length)]
        if (model !== undefined) await operate(fixture, model, random)
      }
      for (const [index, model] of models.entries()) {
        await compare(fixture, model)
        expect(textsOf(ears[index]?.steps() ?? [])).toEqual(model.steps)
        ears[index]?.close()
      }
    })
  }
}

function newModel(): ModelSession {
  return { session: newSession(), steps: [], keptFrom: 1, active: null, answers: [], erasures: [] }
}

async function operate(fixture: Fixture, model: ModelSession, random: Random): Promise<void> {
  const choice = random(20)
  if (choice < 3) await begin(fixture, model)
  else if (choice < 11) await append(fixture, model, random)
  else if (choice < 12) await claim(fixture, model)
  else if (choice < 14) await finish(fixture, model)
  else if (choice < 15) await erase(fixture, model)
  else if (choice < 18) await repeat(fixture, model, random)
  // Long enough for what an adapter does in the background, short of every expiry.
  else if (choice < 19) await fixture.advance(11_000)
  else await compare(fixture, model)
}

async function begin({ generations }: Fixture, model: ModelSession): Promise<void> {
  const step = beginStep(model.session)
  const result = await generations.begin(step)
  if (model.active !== null) {
    expect(result).toEqual({ is: 'busy', messageId: model.active.begin.messageId })
    return
  }
  model.steps.push('started')
  expect(result).toMatchObject({ is: 'applied', seq: model.steps.length })
  const { token } = step
  const start = { next: 0, told: 0, appends: [], claims: [], intent: null, finish: null }
  model.active = { begin: step, token, ...start }
  model.answers.push(model.active)
}

/** Runs over `[told, to)`, cut anywhere. */
function runs(answer: ModelAnswer, to: number, random: Random): Run[] {
  const found: Run[] = []
  let from = answer.told
  while (from < to) {
    const end = from + 1 + random(to - from)
    found.push(runOf(answer.begin, from, end))
    from = end
  }
  return found
}

async function append({ generations }: Fixture, model: ModelSession, random: Random) {
  const answer = model.active
  if (answer === null) return
  const texts = Array.from({ length: random(40) }, () => `${random(1_000)}`)
  const to = answer.next + texts.length
  const telling =
    random(2) === 0 ? runs(answer, answer.told + random(to - answer.told + 1), random) : []
  const owned = { ...answer.begin, token: answer.token }
  const step = appendStep(owned, answer.next, texts, telling)
  const isEmpty = texts.length === 0 && telling.length === 0
  expect(await generations.append([step])).toEqual([{ is: isEmpty ? 'already' : 'applied' }])
  model.steps.push(...texts)
  answer.next = to
  answer.told = telling.at(-1)?.to ?? answer.told
  answer.appends.push({ step, token: answer.token })
}

async function claim(fixture: Fixture, model: ModelSession): Promise<void> {
  const answer = model.active
  if (answer === null) return
  if (answer.intent !== null) await fixture.advance(600)
  const step = claimStep(answer.begin.messageId, { intent: 'timeout' })
  answer.intent ??= 'timeout'
  expect(await fixture.generations.claim(step)).toMatchObject({
    is: 'claimed',
    told: answer.told,
    generation: { next: answer.next },
  })
  answer.token = step.token
  answer.claims.push(step)
}

async function finish({ generations }: Fixture, model: ModelSession): Promise<void> {
  const answer = model.active
  if (answer === null) return
  const owned = { ...answer.begin, token: answer.token }
  const telling = answer.told < answer.next ? [runOf(owned, answer.told, answer.next)] : []
  const step = finishStep(owned, answer.next, { runs: telling })
  expect(await generations.finish(step)).toEqual({ is: 'applied' })
  model.steps.push('done')
  Object.assign(answer, { finish: step, told: answer.next })
  model.active = null
}

async function erase({ generations }: Fixture, model: ModelSession): Promise<void> {
  const step = eraseStep(model.session)
  const result = await generations.erase(step)
  if (model.steps.length === 0) {
    expect(result).toEqual({ is: 'absent' })
  } else if (model.active !== null) {
    expect(result).toMatchObject({ is: 'busy' })
  } else {
    model.steps.push('erased')
    const seq = model.steps.length
    expect(result).toMatchObject({ is: 'applied', seq })
    model.keptFrom = seq
    model.erasures.push({ step, seq })
  }
}

async function repeat({ generations }: Fixture, model: ModelSession, random: Random) {
  const answer = model.answers[random(model.answers.length)]
  if (answer === undefined) return
  const { messageId, userMessageId } = answer.begin
  expect(await generations.begin(answer.begin)).toEqual({ is: 'already', messageId, userMessageId })
  const append = answer.appends[random(answer.appends.length)]
  if (append !== undefined) {
    const is = append.token === answer.token ? 'already' : 'refused'
    expect(await generations.append([append.step])).toEqual([{ is }])
  }
  const claim = answer.claims.at(-1)
  if (claim !== undefined) {
    const is = answer.finish === null ? 'claimed' : 'ended'
    expect(await generations.claim(claim)).toMatchObject({ is })
  }
  if (answer.finish !== null) {
    const result = await generations.finish(answer.finish)
    expect(result).toEqual({ is: 'already', outcome: 'completed' })
  }
  const erasure = model.erasures[random(model.erasures.length)]
  if (erasure !== undefined) {
    expect(await generations.erase(erasure.step)).toMatchObject({ is: 'already', seq: erasure.seq })
  }
}

async function compare(fixture: Fixture, model: ModelSession): Promise<void> {
  const { session, steps, keptFrom, active } = model
  const snapshot = await fixture.generations.snapshot(session.sessionId)
  if (steps.length === 0) {
    expect(snapshot).toBeNull()
    return
  }
  expect(snapshot?.seq).toBe(steps.length)
  expect(snapshot?.active?.messageId).toBe(active?.begin.messageId as string)
  const from = { epoch: snapshot?.epoch ?? 0, seq: keptFrom - 1 }
  const read = await readAll(fixture, session.sessionId, { ...from, maxSteps: 100 })
  expect(read.map((step) => step.seq)).toEqual(
    steps.slice(keptFrom - 1).map((_, i) => keptFrom + i),
  )
  expect(textsOf(read)).toEqual(steps.slice(keptFrom - 1))
  const untold = active === null ? 0 : active.next - active.told
  const faults = faultsOf(await eventsOf(fixture, session.sessionId), steps.length - untold)
  expect(faults).toEqual([])
}
