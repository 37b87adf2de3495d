import { ContractError } from './errors.ts'

const retryAfterMs = 1_000
const pausesMs = [20, 100, 400, 1_000]

/**
 * Asks hot state on behalf of somebody who waits. A rejection leaves the outcome unknown, so the same call is repeated,
 * for about 1.5 s; then `unavailable`. `call` must be safe to repeat: what it sends is made before.
 */
export async function reached<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (error instanceof ContractError) throw error
      const pauseMs = pausesMs[attempt]
      if (pauseMs === undefined) throw unavailable('hot state is out of reach', error)
      await Bun.sleep(pauseMs)
    }
  }
}

export function unavailable(message: string, cause?: unknown): ContractError {
  return new ContractError(
    'unavailable',
    message,
    { retryAfterMs },
    cause === undefined ? {} : { cause },
  )
}

/** Work on hot state that somebody waits for. When it fails or isn't done in time: `unavailable`; its signal says so. */
export async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController()
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = unavailable('hot state did not answer in time')
    late.abort(error)
    reject(error)
  }, ms)
  try {
    return await Promise.race([work(late.signal), promise])
  } catch (error) {
    throw error instanceof ContractError ? error : unavailable('hot state is out of reach', error)
  } finally {
    clearTimeout(timer)
  }
}
