import { jwtVerifier, TokenRefused } from '#runtime/jwt.ts'
import type { ReplayConfig } from './config.ts'
import type { Replayer } from './open-replay.ts'
import { badField, ReplayError } from './replay-error.ts'

const identifier = /^[A-Za-z0-9._:-]{1,128}$/
const secretParams = ['token', 'access_token', 'jwt']

/**
 * Who asks, by the Bearer of the header, with the role `auditor` or `admin`; in development whoever is named, with all
 * roles. Rejects with a `ReplayError`.
 */
export function authorizer(
  { mode, jwt }: Pick<ReplayConfig, 'mode' | 'jwt'>,
  now: () => number,
): (request: Request) => Promise<Replayer> {
  const verify = jwtVerifier(jwt, now)
  return async (request) => {
    const url = new URL(request.url)
    refuseForeign(request)
    for (const name of secretParams) {
      if (url.searchParams.has(name))
        throw badField(name, 'left out: no token is taken from the URL')
    }
    const token = bearerOf(request)
    if (token === null) {
      if (mode === 'development') return developer(url)
      throw new ReplayError('not_authenticated', 'A token is needed.')
    }
    const who = await verify(token).catch(refuse)
    if (who.roles.includes('auditor') || who.roles.includes('admin')) return who
    throw new ReplayError('forbidden', 'The role auditor is needed.')
  }
}

function refuse(error: unknown): never {
  if (!(error instanceof TokenRefused)) throw error
  throw new ReplayError(error.code, error.message, {}, { cause: error })
}

/** A page of another origin has no business here. */
function refuseForeign(request: Request): void {
  const origin = request.headers.get('origin')
  if (origin === null) return
  const isOurs = URL.canParse(origin) && new URL(origin).host === request.headers.get('host')
  if (!isOurs) throw new ReplayError('forbidden', 'This origin may not ask.')
}

function bearerOf(request: Request): string | null {
  const header = request.headers.get('authorization')
  if (header === null) return null
  const token = /^Bearer +(\S+)$/i.exec(header)?.[1]
  if (token !== undefined) return token
  throw new ReplayError('not_authenticated', 'Authorization must be "Bearer <token>".')
}

/** `userId` of a replay's query is a filter, so nobody is named here. */
function developer({ searchParams }: URL): Replayer {
  const userId = searchParams.get('user_id') ?? 'demo_user'
  if (!identifier.test(userId)) throw badField('user_id', '1 to 128 of A-Z a-z 0-9 . _ : -')
  return { userId, tenantId: 'default', roles: ['auditor', 'admin'] }
}
