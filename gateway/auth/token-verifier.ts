import { jwtVerifier, leewayMs, TokenRefused } from '#runtime/jwt.ts'
import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import type { AuthConfig } from './auth.ts'

export { leewayMs }

/** Answers whose token it is. Refusals are `ContractError`s: `not_authenticated`, `unavailable` (no key set). */
export type VerifyToken = (token: string) => Promise<Who>

const keysRetryMs = 2_000

export function tokenVerifier(config: Omit<AuthConfig, 'mode'>, now: () => number): VerifyToken {
  const verify = jwtVerifier(config, now)
  return async (token) => {
    try {
      return await verify(token)
    } catch (error) {
      if (!(error instanceof TokenRefused)) throw error
      const { code, message, cause } = error
      const details = code === 'unavailable' ? { retryAfterMs: keysRetryMs } : {}
      throw new ContractError(code, message, details, { cause })
    }
  }
}
