import { isOutage } from '#db/errors.ts'
import type { Log } from '#runtime/log.ts'
import { ContractError } from '../chat/errors.ts'
import { unavailable } from '../chat/reached.ts'

/** The one place where a failure becomes an answer: `{error: {code, message, temporary, …}}`. */
export function errorResponse(error: unknown, log: Log): Response {
  const refusal = refusalOf(error, log)
  const { retryAfterMs } = refusal.details
  const isTold = refusal.code === 'rate_limited' || refusal.code === 'unavailable'
  return Response.json(
    { error: refusal },
    {
      status: refusal.status,
      headers: {
        'cache-control': 'no-store',
        ...(isTold && {
          'retry-after': String(Math.max(1, Math.ceil((retryAfterMs ?? 0) / 1_000))),
        }),
        ...(refusal.code === 'not_authenticated' && { 'www-authenticate': 'Bearer' }),
      },
    },
  )
}

function refusalOf(error: unknown, log: Log): ContractError {
  if (error instanceof ContractError) {
    // What a client does wrong is no trouble of ours, however often it does.
    const level = error.code === 'unavailable' ? 'warn' : 'debug'
    if (error.cause !== undefined) log[level]('a request was refused', { code: error.code, error })
    return error
  }
  if (isOutage(error)) {
    log.warn('the database is out of reach', { error })
    return unavailable('The database is out of reach at the moment.')
  }
  // Our bug: the client learns no more than that it may try again.
  log.error('a request failed', { error })
  return unavailable('Something went wrong here.')
}
