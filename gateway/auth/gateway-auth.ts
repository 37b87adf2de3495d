import type { Who } from '../chat/asks.ts'
import { ContractError } from '../chat/errors.ts'
import type { Auth, AuthConfig } from './auth.ts'
import { type DevTokens, devTokens } from './dev-tokens.ts'
import { tokenVerifier } from './token-verifier.ts'

const allRoles: readonly string[] = ['auditor', 'admin']

// Known to everybody: in development whoever reaches the node may have a token for anyone, and a second node takes it too.
const developmentSecret = 'sluice-development-signs-for-anyone'

const identifier = /^[A-Za-z0-9._:-]{1,128}$/

export interface GatewayAuth {
  auth: Auth
  /** Makes tokens; null outside development. */
  devTokens: DevTokens | null
}

export function gatewayAuth(config: AuthConfig, now: () => number): GatewayAuth {
  const isDevelopment = config.mode === 'development'
  const secret = config.secret ?? (isDevelopment ? developmentSecret : null)
  const verify = tokenVerifier({ ...config, secret }, now)
  return {
    auth: {
      verify,
      async identify({ token, cookie, named }) {
        const presented = token ?? cookie
        if (presented === undefined) {
          if (isDevelopment) return whoNamed(named)
          throw new ContractError('not_authenticated', 'A token is needed.')
        }
        const who = await verify(presented)
        if (named === undefined || named === who.userId) return who
        throw new ContractError('forbidden', 'The user that is named is not the user of the token.')
      },
    },
    devTokens: isDevelopment && secret !== null ? devTokens({ ...config, secret }, now) : null,
  }
}

function whoNamed(named: string | undefined): Who {
  const userId = named ?? 'demo_user'
  if (!identifier.test(userId)) {
    throw new ContractError('invalid_request', 'userId must be 1 to 128 of A-Z a-z 0-9 . _ : -', {
      field: 'userId',
    })
  }
  return { userId, tenantId: 'default', roles: allRoles }
}
