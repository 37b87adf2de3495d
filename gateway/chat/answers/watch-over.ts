import type { Log } from '#runtime/log.ts'
import type { Generations } from '../../generations/generations.ts'
import type { Answer } from './answer.ts'
import type { EndAnswer } from './end-path.ts'

const sweepsAtOnce = 8

export interface WatchOverDeps {
  generations: Pick<Generations, 'renew' | 'lapsed'>
  /** This node's own, by `messageId`. */
  answers: ReadonlyMap<string, Answer>
  endAnswer: EndAnswer
  log: Log
  leaseMs: number
  renewMs: number
  sweepMs: number
  /** How long a chunk waits for its event; 0: not at all. */
  tellMs: number
}

/**
 * Keeps this node's leases, and ends answers whose owner is gone: at once, then each `sweepMs`. Every node sweeps; a
 * claim succeeds only while the lease is over, so two that find the same answer do no harm.
 */
export function watchOver(deps: WatchOverDeps): AsyncDisposable {
  const stop = new AbortController()
  const renewing = everyMs(deps.renewMs, stop.signal, () => renew(deps))
  const sweeping = everyMs(deps.sweepMs, stop.signal, () => sweep(deps, stop.signal))
  const telling =
    deps.tellMs === 0 || everyMs(deps.tellMs, stop.signal, async () => tellOverdue(deps.answers))
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all([renewing, sweeping, telling])
    },
  }
}

async function everyMs(ms: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work()
    await pause(ms, signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

function tellOverdue(answers: ReadonlyMap<string, Answer>): void {
  const nowMs = performance.now()
  for (const answer of answers.values()) answer.tellOverdue(nowMs)
}

async function renew({ generations, answers, log, leaseMs }: WatchOverDeps): Promise<void> {
  const owned = [...answers.values()]
  if (owned.length === 0) return
  try {
    const leases = owned.map(({ job }) => ({
      messageId: job.begin.messageId,
      token: job.begin.token,
      leaseMs,
    }))
    const kept = await generations.renew(leases)
    await Promise.all(owned.filter((_, index) => kept[index] === false).map((one) => one.doubted()))
  } catch (error) {
    log.warn('leases were not renewed', { count: owned.length, error })
  }
}

async function sweep(deps: WatchOverDeps, signal: AbortSignal): Promise<void> {
  const { generations, answers, endAnswer, log } = deps
  try {
    const lapsed = (await generations.lapsed()).filter((messageId) => !answers.has(messageId))
    const one = async () => {
      for (let id = lapsed.pop(); id !== undefined && !signal.aborted; id = lapsed.pop()) {
        const outcome = await endAnswer(id, 'owner_lost', { onlyLapsed: true, signal })
        if (outcome !== null)
          log.info('an answer without an owner has ended', { messageId: id, outcome })
      }
    }
    await Promise.all(Array.from({ length: sweepsAtOnce }, one))
  } catch (error) {
    if (!signal.aborted) log.warn('the sweep did not finish', { error })
  }
}
