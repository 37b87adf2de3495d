import { isOutage } from '#db/errors.ts'
import { unavailable } from '../chat/reached.ts'

// A database that is just being made is waited for; nobody waits longer for a page of history.
const patienceMs = 12_000

/** Asks the database on behalf of somebody who waits: when it is away, or too slow, that is `unavailable`. */
export async function guarded<T>(ask: () => Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => late.reject(unavailable('the database is too slow at the moment')),
    patienceMs,
  )
  try {
    return await Promise.race([ask(), late.promise])
  } catch (error) {
    if (isOutage(error)) throw unavailable('the database is out of reach', error)
    throw error
  } finally {
    clearTimeout(timer)
  }
}
