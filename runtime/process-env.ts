import { z } from 'zod'
import { type Env, integer, list } from './env.ts'
import type { JwtConfig } from './jwt.ts'

// The variables that processes of every kind read.

const identifier = /^[A-Za-z0-9._:-]{1,128}$/

/** Where a process listens, if it does, and how it is named. */
export const processEnv = {
  /** Left out: it doesn't listen. */
  PORT: integer(0, 65_535).optional(),
  HOST: z
    .string()
    .regex(/^[A-Za-z0-9._:-]+$/, 'must be a host name or an address')
    .optional(),
  NODE_ID: z.string().regex(identifier, 'must be 1 to 128 of A-Z a-z 0-9 . _ : -').optional(),
  AUTH: z.enum(['development', 'jwt']).optional(),
}

/** A URL of one of these protocols; `what` says so. */
export function url(protocols: RegExp, what: string) {
  return z.string().refine((text) => isUrl(text, protocols), { error: `must be ${what}` })
}

export const postgresUrl = () => url(/^postgres(ql)?:$/, 'a postgres URL')
export const webUrl = () => url(/^https?:$/, 'an http or https URL')

export function redisUrls() {
  return list().refine((urls) => urls.length > 0 && urls.every((each) => isUrl(each, redis)), {
    error: 'must be a redis or rediss URL, or a list of them',
  })
}

const redis = /^rediss?:$/

function isUrl(text: string, protocols: RegExp): boolean {
  return URL.canParse(text) && protocols.test(new URL(text).protocol)
}

/** A process without a `NODE_ID` is named after its host. */
export function nodeIdOf(nodeId: string | undefined, hostName: string): string {
  return nodeId ?? (identifier.test(hostName) ? hostName : 'node')
}

/** Who may come in and where from: `development` on a loopback address unless `AUTH` says otherwise. */
export function doorOf(env: Env): { mode: 'development' | 'jwt'; host: string } {
  const host = env['HOST'] || undefined
  const isOpen = env['AUTH'] === 'development' || (!env['AUTH'] && isLoopback(host ?? '127.0.0.1'))
  return { mode: isOpen ? 'development' : 'jwt', host: host ?? (isOpen ? '127.0.0.1' : '0.0.0.0') }
}

/** What is wrong with the door, of a process that people reach. */
export function doorProblems(env: Env): string[] {
  const { mode, host } = doorOf(env)
  const problems: string[] = []
  if (mode === 'development' && !isLoopback(host)) {
    problems.push(`AUTH: development is refused on HOST ${host}, which is not a loopback address`)
  }
  if (mode === 'jwt' && !env['JWT_SECRET'] && !env['JWKS_URL']) {
    problems.push('JWT_SECRET: must be set (or JWKS_URL) when AUTH is jwt')
  }
  return problems
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

/** Of whoever checks tokens. */
export const jwtEnv = {
  JWT_SECRET: z
    .string()
    .refine((secret) => Buffer.byteLength(secret) >= 32, {
      error: 'must be at least 32 bytes long',
    })
    .optional(),
  JWKS_URL: webUrl().optional(),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: z.string().optional(),
}

export function jwtOf(set: z.infer<z.ZodObject<typeof jwtEnv>>): JwtConfig {
  return {
    secret: set.JWT_SECRET ?? null,
    jwksUrl: set.JWKS_URL ?? null,
    issuer: set.JWT_ISSUER ?? null,
    audience: set.JWT_AUDIENCE ?? null,
  }
}
