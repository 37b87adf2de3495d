import {
  createRemoteJWKSet,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'

export interface JwtConfig {
  /** Of HS256; at least 32 bytes. */
  secret: string | null
  /** Of RS256, ES256, EdDSA. */
  jwksUrl: string | null
  issuer: string | null
  audience: string | null
}

/** Whose token it is. */
export interface TokenHolder {
  userId: string
  tenantId: string
  roles: readonly string[]
  expiresAtMs: number
}

/** `not_authenticated`: the token is no good. `unavailable`: the key set is out of reach, it may be good. */
export class TokenRefused extends Error {
  override name = 'TokenRefused'
  readonly code: 'not_authenticated' | 'unavailable'
  constructor(code: TokenRefused['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** A token's `exp`, `nbf` may be off by so much. */
export const leewayMs = 30_000

const asymmetric = ['RS256', 'ES256', 'EdDSA']
const tokenLengthMax = 8_192
// A key that the set no longer has is believed this long; a storm of reconnects verifies each token once.
const believedMs = 60_000
const believedTokensMax = 20_000
// How often a token with an unknown key may fetch the set again: a rotation is seen after at most a second.
const rotationMs = 1_000

interface Believed {
  holder: TokenHolder
  untilMs: number
}

/** Answers whose token it is. Rejects with `TokenRefused`. */
export type VerifyJwt = (token: string) => Promise<TokenHolder>

export function jwtVerifier(config: JwtConfig, now: () => number): VerifyJwt {
  const keyOf = keys(config)
  const options: JWTVerifyOptions = {
    algorithms: [...(config.secret ? ['HS256'] : []), ...(config.jwksUrl ? asymmetric : [])],
    clockTolerance: leewayMs / 1_000,
    requiredClaims: ['sub', 'exp'],
    ...(config.issuer !== null && { issuer: config.issuer }),
    ...(config.audience !== null && { audience: config.audience }),
  }
  const believed = new Map<string, Believed>()
  return async (token) => {
    if (token.length > tokenLengthMax) {
      throw new TokenRefused('not_authenticated', `The token is longer than ${tokenLengthMax}.`)
    }
    const atMs = now()
    const hash = new Bun.CryptoHasher('sha256').update(token).digest('base64')
    const known = believed.get(hash)
    if (known !== undefined && known.untilMs > atMs) return known.holder
    const payload = await payloadOf(token, keyOf, { ...options, currentDate: new Date(atMs) })
    const holder = holderOf(payload)
    believed.delete(hash)
    if (believed.size >= believedTokensMax) {
      for (const oldest of believed.keys()) {
        believed.delete(oldest)
        break
      }
    }
    const untilMs = Math.min(holder.expiresAtMs + leewayMs, atMs + believedMs)
    believed.set(hash, { holder, untilMs })
    return holder
  }
}

/** The key by the algorithm: a public key can never be taken for a secret. */
function keys(config: JwtConfig): JWTVerifyGetKey {
  const secret = config.secret === null ? null : secretKey(config.secret)
  const keySet =
    config.jwksUrl === null
      ? null
      : createRemoteJWKSet(new URL(config.jwksUrl), { cooldownDuration: rotationMs })
  return async (header, jws) => {
    if (header.alg === 'HS256' && secret !== null) return await secret
    if (header.alg === 'HS256' || keySet === null) throw new errors.JWKSNoMatchingKey()
    try {
      return await keySet(header, jws)
    } catch (cause) {
      if (
        cause instanceof errors.JWKSNoMatchingKey ||
        cause instanceof errors.JWKSMultipleMatchingKeys ||
        cause instanceof errors.JOSENotSupported
      ) {
        throw cause
      }
      const message = 'The keys that tokens are signed with cannot be had at the moment.'
      throw new TokenRefused('unavailable', message, { cause })
    }
  }
}

/** Made once: of a secret as bytes one is made for each token. */
function secretKey(secret: string): Promise<CryptoKey> {
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  return crypto.subtle.importKey('raw', new TextEncoder().encode(secret), hmac, false, ['verify'])
}

async function payloadOf(
  token: string,
  keyOf: JWTVerifyGetKey,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keyOf, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw refusalOf(error)
    return await payloadByAny(token, error, options)
  }
}

/** A token without `kid` in a set of several keys: any of them may have signed it. */
async function payloadByAny(
  token: string,
  candidates: errors.JWKSMultipleMatchingKeys,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  for await (const key of candidates) {
    try {
      return (await jwtVerify(token, key, options)).payload
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw refusalOf(error)
    }
  }
  throw refusalOf(new errors.JWSSignatureVerificationFailed())
}

function refusalOf(error: unknown): TokenRefused {
  if (error instanceof TokenRefused) return error
  const refuse = (message: string) =>
    new TokenRefused('not_authenticated', message, { cause: error })
  if (error instanceof errors.JWTExpired) return refuse('The token has expired.')
  if (error instanceof errors.JWTClaimValidationFailed) {
    return refuse(`The token's ${error.claim} is missing or does not fit.`)
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return refuse('The algorithm of the token is not accepted.')
  }
  return refuse('The token is not valid.')
}

function holderOf({ sub, exp, roles, tid }: JWTPayload): TokenHolder {
  return {
    userId: claim('sub', sub),
    tenantId: claim('tid', tid ?? 'default'),
    roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : [],
    expiresAtMs: (exp ?? 0) * 1_000,
  }
}

// What becomes a part of keys, rows and headers.
function claim(name: string, value: unknown): string {
  const isFit =
    typeof value === 'string' &&
    value.length >= 1 &&
    value.length <= 256 &&
    value.isWellFormed() &&
    !/\p{Cc}/u.test(value)
  if (isFit) return value
  throw new TokenRefused(
    'not_authenticated',
    `The token's ${name} must be a text of 1 to 256 characters without control characters.`,
  )
}
