import type { Auth } from '../auth/auth.ts'
import { bearerOf, cookieName } from '../auth/credentials.ts'
import { addressOf } from '../auth/origin.ts'
import { ContractError } from '../chat/errors.ts'
import type { Limits } from '../limits/limits.ts'

export interface LoginDeps {
  auth: Auth
  limits: Limits
  isProxyTrusted: boolean
}

/** `POST /api/login`: the bearer becomes a cookie, for browsers that open sockets with nothing else. */
export function postLogin(deps: LoginDeps): (request: Request) => Promise<Response> {
  return async (request) => {
    const token = bearerOf(request)
    if (token === undefined) throw new ContractError('not_authenticated', 'A bearer is needed.')
    const who = await deps.auth.verify(token)
    await deps.limits.request(who)
    const expires = new Date(who.expiresAtMs ?? 0).toUTCString()
    return withCookie(`${token}; Expires=${expires}`, request, deps)
  }
}

/** `POST /api/logout`: clears it, whoever asks; a token that is no longer good must not keep its cookie alive. */
export function postLogout(deps: LoginDeps): (request: Request) => Response {
  return (request) => withCookie('; Max-Age=0', request, deps)
}

function withCookie(value: string, request: Request, deps: LoginDeps): Response {
  const { host, isSecure } = addressOf(request, deps.isProxyTrusted)
  const flags = `HttpOnly; SameSite=Strict; Path=/${isSecure || !isLoopback(host) ? '; Secure' : ''}`
  return new Response(null, {
    status: 204,
    headers: { 'set-cookie': `${cookieName}=${value}; ${flags}`, 'cache-control': 'no-store' },
  })
}

function isLoopback(host: string): boolean {
  if (!URL.canParse(`http://${host}`)) return false
  const { hostname } = new URL(`http://${host}`)
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(hostname)
  )
}
