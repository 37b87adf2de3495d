import type { JwtConfig } from '#runtime/jwt.ts'
import type { Who } from '../chat/asks.ts'

/** What a request brings to say who it is. */
export interface Credentials {
  /** Of `Authorization: Bearer` or of the sub-protocol `bearer.<jwt>`: wins over the cookie. */
  token?: string | undefined
  /** Of the login cookie; given on GET routes and sockets only. */
  cookie?: string | undefined
  /** The user that the body or query names: in development, without a token, that is who it is; else must equal `sub`. */
  named?: string | undefined
}

/** Who somebody is. Refusals are `ContractError`s: `not_authenticated`, `forbidden` (another `named`), `unavailable`. */
export interface Auth {
  identify(credentials: Credentials): Promise<Who>
  /** A token by itself (the `auth` frame, login). */
  verify(token: string): Promise<Who>
}

/** `development`: without a token one is who one says, else `demo_user` with all roles. */
type AuthMode = 'development' | 'jwt'

export interface AuthConfig extends JwtConfig {
  mode: AuthMode
}
