import { SignJWT } from 'jose'
import { iso } from '#runtime/time.ts'

const lifeMs = 12 * 3_600_000

interface DevToken {
  token: string
  userId: string
  roles: string[]
  expiresAt: string
}

/** Signs a token for anyone; exists in development alone. */
export type DevTokens = (asked: {
  userId: string
  tenantId?: string | undefined
  roles?: string[] | undefined
}) => Promise<DevToken>

export function devTokens(
  config: { secret: string; issuer: string | null; audience: string | null },
  now: () => number,
): DevTokens {
  const key = new TextEncoder().encode(config.secret)
  return async ({ userId, tenantId, roles = [] }) => {
    // Whole seconds, as `exp` has them.
    const endSeconds = Math.floor((now() + lifeMs) / 1_000)
    const jwt = new SignJWT({ roles, ...(tenantId !== undefined && { tid: tenantId }) })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject(userId)
      .setExpirationTime(endSeconds)
    if (config.issuer !== null) jwt.setIssuer(config.issuer)
    if (config.audience !== null) jwt.setAudience(config.audience)
    return { token: await jwt.sign(key), userId, roles, expiresAt: iso(endSeconds * 1_000) }
  }
}
