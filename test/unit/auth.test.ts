import { describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import type { Auth, AuthConfig } from '#gateway/auth/auth.ts'
import { gatewayAuth } from '#gateway/auth/gateway-auth.ts'
import { requireRole } from '#gateway/auth/roles.ts'
import { ContractError } from '#gateway/chat/errors.ts'

const secret = 'a secret of at least thirty-two bytes'
const base: AuthConfig = { mode: 'jwt', secret, jwksUrl: null, issuer: null, audience: null }
const startMs = Date.UTC(2026, 5, 1)

function authAt(config: Partial<AuthConfig> = {}) {
  const clock = { ms: startMs }
  return { clock, ...gatewayAuth({ ...base, ...config }, () => clock.ms) }
}

const seconds = (ms: number) => Math.floor(ms / 1_000)

interface Signing {
  alg?: string
  key?: string
}

function sign(claims: Record<string, unknown> = {}, { alg = 'HS256', key = secret }: Signing = {}) {
  const all = { sub: 'ann', exp: seconds(startMs) + 60, ...claims }
  return new SignJWT(all).setProtectedHeader({ alg }).sign(new TextEncoder().encode(key))
}

async function codeOf(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) return 'accepted'
  if (error instanceof ContractError) return error.code
  throw error
}

const unsigned = (claims: object) =>
  `${[{ alg: 'none' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`

describe('a token', () => {
  test('says who somebody is', async () => {
    const { auth } = authAt()
    const token = await sign({ roles: ['auditor'], tid: 'acme' })
    expect(await auth.identify({ token })).toEqual({
      userId: 'ann',
      tenantId: 'acme',
      roles: ['auditor'],
      expiresAtMs: startMs + 60_000,
    })
  })

  test('without tenant or roles is of the default tenant and has none', async () => {
    const { auth } = authAt()
    expect(await auth.verify(await sign())).toMatchObject({ tenantId: 'default', roles: [] })
    expect(await auth.verify(await sign({ roles: 'admin' }))).toMatchObject({ roles: [] })
    expect(await auth.verify(await sign({ roles: [1, 'auditor'] }))).toMatchObject({
      roles: ['auditor'],
    })
  })

  const refused: Record<string, () => string | Promise<string>> = {
    'that is none': () => 'x',
    'that is empty': () => '',
    'that is very long': () => 'x'.repeat(10_000),
    'of another secret': () => sign({}, { key: 'another secret of thirty-two bytes!' }),
    'of another algorithm': () => sign({}, { alg: 'HS512' }),
    'without a signature': () => unsigned({ sub: 'ann', exp: seconds(startMs) + 60 }),
    'without sub': () => sign({ sub: undefined }),
    'with an empty sub': () => sign({ sub: '' }),
    'with a sub that is no text': () => sign({ sub: 7 }),
    'with a sub that no key can hold': () => sign({ sub: 'a\nb' }),
    'with a sub that no database can hold': () => sign({ sub: 'a\0b' }),
    'with a sub that is too long': () => sign({ sub: 'a'.repeat(257) }),
    'without exp': () => sign({ exp: undefined }),
    'with an exp that is no number': () => sign({ exp: 'tomorrow' }),
    'that has expired': () => sign({ exp: seconds(startMs) - 31 }),
    'that does not hold yet': () => sign({ nbf: seconds(startMs) + 31 }),
    'of a tenant that is no text': () => sign({ tid: ['acme'] }),
  }
  for (const [what, make] of Object.entries(refused)) {
    test(`${what} is refused`, async () => {
      const { auth } = authAt()
      expect(await codeOf(auth.identify({ token: await make() }))).toBe('not_authenticated')
    })
  }

  test('may be off by half a minute', async () => {
    const { auth } = authAt()
    expect(await codeOf(auth.verify(await sign({ exp: seconds(startMs) - 29 })))).toBe('accepted')
    expect(await codeOf(auth.verify(await sign({ nbf: seconds(startMs) + 29 })))).toBe('accepted')
  })

  test('that was accepted before is refused once it has expired', async () => {
    const { auth, clock } = authAt()
    const token = await sign({ exp: seconds(startMs) + 5 })
    await auth.verify(token)
    clock.ms += 34_000
    expect(await codeOf(auth.verify(token))).toBe('accepted')
    clock.ms += 2_000
    expect(await codeOf(auth.verify(token))).toBe('not_authenticated')
  })

  test('must be of the issuer and for the audience that are configured', async () => {
    const { auth } = authAt({ issuer: 'https://id.example', audience: 'sluice' })
    const fit = { iss: 'https://id.example', aud: ['other', 'sluice'] }
    expect(await codeOf(auth.verify(await sign(fit)))).toBe('accepted')
    for (const claims of [{}, { ...fit, iss: 'https://evil.example' }, { ...fit, aud: 'other' }]) {
      expect(await codeOf(auth.verify(await sign(claims)))).toBe('not_authenticated')
    }
  })

  test('wins over the cookie, and is refused though the cookie is good', async () => {
    const { auth } = authAt()
    const [token, cookie] = [await sign(), await sign({ sub: 'bob' })]
    expect((await auth.identify({ token, cookie })).userId).toBe('ann')
    expect((await auth.identify({ cookie })).userId).toBe('bob')
    expect(await codeOf(auth.identify({ token: 'x', cookie }))).toBe('not_authenticated')
  })

  test('speaks for nobody else', async () => {
    for (const mode of ['jwt', 'development'] as const) {
      const { auth } = authAt({ mode })
      const token = await sign()
      expect((await auth.identify({ token, named: 'ann' })).userId).toBe('ann')
      expect(await codeOf(auth.identify({ token, named: 'bob' }))).toBe('forbidden')
    }
  })
})

describe('without a token', () => {
  test('nobody is anybody', async () => {
    const { auth, devTokens } = authAt()
    expect(await codeOf(auth.identify({}))).toBe('not_authenticated')
    expect(await codeOf(auth.identify({ named: 'ann' }))).toBe('not_authenticated')
    expect(devTokens).toBeNull()
  })

  test('in development one is who one says, else the demo user, with all roles', async () => {
    const { auth } = authAt({ mode: 'development', secret: null })
    expect((await auth.identify({ named: 'ann' })).userId).toBe('ann')
    const demo = await auth.identify({})
    expect([demo.userId, demo.tenantId]).toEqual(['demo_user', 'default'])
    for (const role of ['auditor', 'admin']) requireRole(demo, role)
  })

  test('in development a name must be one', async () => {
    const { auth } = authAt({ mode: 'development' })
    for (const named of ['', 'a b', 'n'.repeat(129), 'ann\n']) {
      expect(await codeOf(auth.identify({ named }))).toBe('invalid_request')
    }
  })

  test('in development a token that is there is checked', async () => {
    const { auth } = authAt({ mode: 'development', secret: null })
    expect(await codeOf(auth.identify({ token: await sign(), named: 'ann' }))).toBe(
      'not_authenticated',
    )
  })
})

describe('a token of development', () => {
  test('is accepted where it was made, with its roles, issuer and audience', async () => {
    const configs = [{ secret: null }, { secret, issuer: 'https://id.example', audience: 'sluice' }]
    for (const config of configs) {
      const { auth, devTokens } = authAt({ mode: 'development', ...config })
      const made = await devTokens?.({ userId: 'ann', tenantId: 'acme', roles: ['auditor'] })
      const who = await auth.verify(made?.token ?? '')
      expect(who).toMatchObject({ userId: 'ann', tenantId: 'acme', roles: ['auditor'] })
      expect(made?.expiresAt).toBe(new Date(who.expiresAtMs ?? 0).toISOString())
    }
  })

  test('is taken by every node of development, and by none that checks tokens', async () => {
    const [here, there] = [1, 2].map(() => authAt({ mode: 'development', secret: null }))
    const token = (await here?.devTokens?.({ userId: 'ann' }))?.token ?? ''
    const other = there?.auth as Auth
    expect(await other.verify(token)).toMatchObject({ userId: 'ann' })
    const { auth } = authAt({ mode: 'jwt', secret: 'x'.repeat(32) })
    expect(await codeOf(auth.verify(token))).toBe('not_authenticated')
  })
})

test('an admin may what an auditor may, a user may not', () => {
  const who = (...roles: string[]) => ({ userId: 'ann', tenantId: 'default', roles })
  requireRole(who('auditor'), 'auditor')
  requireRole(who('admin'), 'auditor')
  expect(() => requireRole(who('reader'), 'auditor')).toThrow(ContractError)
  expect(() => requireRole(who('auditor'), 'admin')).toThrow(ContractError)
})
