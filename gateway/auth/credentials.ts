import { bearerSubprotocol } from '#client/frames.ts'
import { ContractError } from '../chat/errors.ts'
import type { Credentials } from './auth.ts'

export const cookieName = 'sluice'

/** Names that would put a token into logs and histories. */
const secretParams = ['token', 'access_token', 'jwt']

/**
 * What a request brings: the bearer (of the header, or of a sub-protocol), the cookie on GET, HEAD and sockets, and
 * the user that its query names. A token in the query is `invalid_request`, a malformed `Authorization` `not_authenticated`.
 */
export function credentialsOf(request: Request, url: URL): Credentials {
  for (const name of secretParams) {
    if (!url.searchParams.has(name)) continue
    throw new ContractError('invalid_request', `${name}: a token is never taken from the URL.`, {
      field: name,
    })
  }
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  return {
    token: bearerOf(request) ?? subprotocolToken(request),
    cookie: isRead ? cookieOf(request) : undefined,
    named: url.searchParams.get('userId') ?? url.searchParams.get('user_id') ?? undefined,
  }
}

export function bearerOf(request: Request): string | undefined {
  const header = request.headers.get('authorization')
  if (header === null) return undefined
  const match = /^Bearer +(\S+)$/i.exec(header)
  if (match?.[1] !== undefined) return match[1]
  throw new ContractError('not_authenticated', 'Authorization must be "Bearer <token>".')
}

function subprotocolToken(request: Request): string | undefined {
  const offered = request.headers.get('sec-websocket-protocol')
  return offered
    ?.split(',')
    .map((name) => name.trim())
    .find((name) => name.startsWith(bearerSubprotocol))
    ?.slice(bearerSubprotocol.length)
}

function cookieOf(request: Request): string | undefined {
  for (const pair of request.headers.get('cookie')?.split(';') ?? []) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === cookieName)
      return pair.slice(at + 1).trim() || undefined
  }
  return undefined
}
