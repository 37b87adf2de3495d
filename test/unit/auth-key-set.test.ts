import { beforeAll, describe, expect, test } from 'bun:test'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { gatewayAuth } from '#gateway/auth/gateway-auth.ts'
import { ContractError } from '#gateway/chat/errors.ts'
import { opened } from '../support/tracker.ts'
import { until } from '../support/until.ts'

type Alg = 'RS256' | 'ES256' | 'EdDSA'
type Pair = Awaited<ReturnType<typeof generateKeyPair>>

const pairs = new Map<Alg | 'PS256' | 'next', Pair>()

beforeAll(async () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA', 'PS256'] as const) {
    pairs.set(alg, await generateKeyPair(alg, { extractable: true }))
  }
  pairs.set('next', await generateKeyPair('ES256', { extractable: true }))
})

function pair(name: Parameters<typeof pairs.get>[0]): Pair {
  const found = pairs.get(name)
  if (found === undefined) throw new Error(`no key ${name}`)
  return found
}

/** Serves what `keys` holds; counts how often it was asked. */
class KeyServer implements AsyncDisposable {
  keys: object[] = []
  status = 200
  asked = 0
  readonly #closed = opened('key server')
  readonly #server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: () => {
      this.asked += 1
      return Response.json({ keys: this.keys }, { status: this.status })
    },
  })

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}/keys`
  }

  async publish(...names: Parameters<typeof pairs.get>[0][]): Promise<void> {
    this.keys = await Promise.all(
      names.map(async (name) => ({
        ...(await exportJWK(pair(name).publicKey)),
        kid: name,
        use: 'sig',
      })),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true)
    this.#closed()
  }
}

function sign(alg: string, key: Pair['privateKey'] | Uint8Array, kid?: string): Promise<string> {
  return new SignJWT({ sub: 'ann' })
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .setExpirationTime('1m')
    .sign(key)
}

const authOf = (jwksUrl: string, secret: string | null = null) =>
  gatewayAuth({ mode: 'jwt', secret, jwksUrl, issuer: null, audience: null }, Date.now).auth

async function codeOf(answer: Promise<unknown>): Promise<string> {
  const error = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) return 'accepted'
  if (error instanceof ContractError) return error.code
  throw error
}

describe('with a key set', () => {
  test('each algorithm of the contract is accepted, with the key named or not', async () => {
    await using server = new KeyServer()
    await server.publish('RS256', 'ES256', 'EdDSA', 'next')
    const auth = authOf(server.url)
    for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
      const { privateKey } = pair(alg)
      expect((await auth.verify(await sign(alg, privateKey, alg))).userId).toBe('ann')
      expect((await auth.verify(await sign(alg, privateKey))).userId).toBe('ann')
    }
    expect(server.asked).toBe(1)
  })

  test('no other algorithm is', async () => {
    await using server = new KeyServer()
    await server.publish('RS256', 'PS256')
    const auth = authOf(server.url)
    const token = await sign('PS256', pair('PS256').privateKey, 'PS256')
    expect(await codeOf(auth.verify(token))).toBe('not_authenticated')
  })

  test('a public key is never taken for a secret', async () => {
    await using server = new KeyServer()
    await server.publish('RS256')
    const publicText = new TextEncoder().encode(await exportSPKI(pair('RS256').publicKey))
    const forged = await sign('HS256', publicText, 'RS256')
    for (const secret of [null, 'a secret of at least thirty-two bytes']) {
      expect(await codeOf(authOf(server.url, secret).verify(forged))).toBe('not_authenticated')
    }
  })

  test('a key that is not in it is refused', async () => {
    await using server = new KeyServer()
    await server.publish('ES256')
    const auth = authOf(server.url)
    const { privateKey } = pair('next')
    expect(await codeOf(auth.verify(await sign('ES256', privateKey, 'ES256')))).toBe(
      'not_authenticated',
    )
    expect(await codeOf(auth.verify(await sign('ES256', privateKey, 'next')))).toBe(
      'not_authenticated',
    )
  })

  test('a new key is accepted soon after it is published', async () => {
    await using server = new KeyServer()
    await server.publish('ES256')
    const auth = authOf(server.url)
    await auth.verify(await sign('ES256', pair('ES256').privateKey, 'ES256'))
    await server.publish('next')
    const token = await sign('ES256', pair('next').privateKey, 'next')
    await until(async () => (await codeOf(auth.verify(token))) === 'accepted', { everyMs: 50 })
    expect(server.asked).toBe(2)
  })

  test('many tokens ask for the set once', async () => {
    await using server = new KeyServer()
    await server.publish('ES256')
    const auth = authOf(server.url)
    const token = await sign('ES256', pair('ES256').privateKey, 'ES256')
    await Promise.all(Array.from({ length: 200 }, () => auth.verify(token)))
    expect(server.asked).toBe(1)
  })

  test('that cannot be had, nobody is told that a token is bad', async () => {
    await using server = new KeyServer()
    server.status = 500
    const token = await sign('ES256', pair('ES256').privateKey, 'ES256')
    expect(await codeOf(authOf(server.url).verify(token))).toBe('unavailable')
    expect(await codeOf(authOf('http://127.0.0.1:1/keys').verify(token))).toBe('unavailable')
  })
})
