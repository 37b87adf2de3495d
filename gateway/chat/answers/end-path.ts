import { randomToken } from '#runtime/ids.ts'
import type { Generation, Generations, Intent, Outcome } from '../../generations/generations.ts'
import type { ClaimResult, Finish, FinishResult } from '../../generations/steps.ts'
import { endingOf, endStep } from './ending.ts'
import { type RunsOptions, runsOver } from './runs.ts'
import { Transcript } from './transcript.ts'

const waitMs = 50
const triesMax = 5
const pageSteps = 2_000
const pageBytes = 1024 * 1024

export interface EndPathDeps {
  generations: Generations
  nodeId: string
  eventContent: 'full' | 'none'
  chunkEventMs: number
  leaseMs: number
  now: () => number
}

/**
 * Ends an answer that somebody else makes, or made: claims it, reads its chunks from the log, finishes. Answers the
 * outcome that stands; null when nobody knows the answer, or (`onlyLapsed`) its owner lives. Rejects when hot state is
 * out of reach or `signal` aborts; then the claim's lease runs out and a sweep goes on from there.
 */
export type EndAnswer = (
  messageId: string,
  intent: Intent,
  options?: { onlyLapsed?: boolean; signal?: AbortSignal },
) => Promise<Outcome | null>

type Claimed = Extract<ClaimResult, { is: 'claimed' }>

export function endPath(deps: EndPathDeps): EndAnswer {
  const { generations, leaseMs, now } = deps
  return async (messageId, intent, { onlyLapsed = false, signal } = {}) => {
    for (let tries = 0; tries < triesMax; ) {
      signal?.throwIfAborted()
      const token = randomToken()
      const result = await generations.claim({
        messageId,
        intent,
        token,
        leaseMs,
        at: now(),
        ...(onlyLapsed && { onlyLapsed }),
      })
      if (result.is === 'ended') return result.outcome
      if (result.is === 'unknown' || result.is === 'alive') return null
      if (result.is === 'claimed') {
        tries++
        const outcome = await finishClaimed(deps, result, token)
        if (outcome !== null) return outcome
      }
      await Bun.sleep(waitMs)
    }
    throw new Error(`the log does not fit the answer ${messageId}`)
  }
}

/** null: another has claimed it since. */
async function finishClaimed(
  deps: EndPathDeps,
  claimed: Claimed,
  token: string,
): Promise<Outcome | null> {
  const { generation, intent, told } = claimed
  const { sessionId, tenantId, userId, messageId } = generation
  const { nodeId, chunkEventMs, eventContent, now } = deps
  const session = { sessionId, tenantId, userId }
  const transcript = await readTranscript(deps.generations, generation)
  if (transcript === null) return null
  const runsOptions = { session, messageId, nodeId, chunkEventMs, eventContent, now }
  const end = endStep(
    { ...generation, ...runsOptions, acceptedAtMs: generation.createdAtMs },
    { ending: endingOf(intent), transcript, atMs: now() },
  )
  const step: Finish = { sessionId, messageId, token, ...end, runs: [] }
  return finish(deps, { step, told, transcript, runsOptions })
}

interface Finishing {
  step: Finish
  told: number
  transcript: Transcript
  runsOptions: RunsOptions
}

async function finish(deps: EndPathDeps, finishing: Finishing): Promise<Outcome | null> {
  const { step, transcript, runsOptions } = finishing
  let { told } = finishing
  for (;;) {
    step.runs = runsOver(transcript, runsOptions, { told, to: step.next })
    const result: FinishResult = await deps.generations.finish(step)
    switch (result.is) {
      case 'applied':
        return step.outcome
      case 'already':
        return result.outcome
      case 'told':
        told = result.told
        break
      case 'behind':
      case 'refused':
      case 'lost':
        return null
    }
  }
}

/** All chunks of an answer as its log has them; null when the log has moved on and must be claimed anew. */
async function readTranscript(
  generations: Generations,
  generation: Generation,
): Promise<Transcript | null> {
  const { sessionId, messageId, epoch, startedSeq, next } = generation
  const transcript = new Transcript()
  while (transcript.next < next) {
    const after = { epoch, seq: startedSeq + transcript.next }
    const read = await generations.read(sessionId, after, pageSteps, pageBytes)
    if (read.is !== 'steps' || read.steps.length === 0) return null
    for (const step of read.steps) {
      if (step.type !== 'chunk' || step.messageId !== messageId) return null
      if (transcript.next < next) transcript.add(step)
    }
  }
  return transcript
}
