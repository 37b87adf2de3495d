import { describe, expect, test } from 'bun:test'
import { credentialsOf } from '#gateway/auth/credentials.ts'
import { isOriginAllowed } from '#gateway/auth/origin.ts'
import { ContractError } from '#gateway/chat/errors.ts'

const to = (
  headers: Record<string, string>,
  url = 'http://127.0.0.1:8080/api/chat',
  method = 'GET',
) => new Request(url, { headers, method })

describe('an Origin', () => {
  const allowed = (headers: Record<string, string>, isProxyTrusted = false) =>
    isOriginAllowed(to(headers), { allowedOrigins: ['https://app.example'], isProxyTrusted })

  test('that is not there is allowed', () => {
    expect(allowed({ host: 'a.example' })).toBe(true)
  })

  test('that is the host it was sent to is allowed', () => {
    expect(allowed({ host: 'a.example:8080', origin: 'http://a.example:8080' })).toBe(true)
    expect(allowed({ host: 'a.example', origin: 'https://a.example' })).toBe(true)
    expect(allowed({ host: 'A.example:443', origin: 'https://a.example' })).toBe(true)
    expect(allowed({ host: '[::1]:8080', origin: 'http://[::1]:8080' })).toBe(true)
  })

  test('that is listed is allowed, and nothing that looks like it', () => {
    const host = 'a.example'
    expect(allowed({ host, origin: 'https://app.example' })).toBe(true)
    for (const origin of [
      'http://app.example',
      'https://app.example:8443',
      'https://app.example.evil.example',
      'https://evil-app.example',
    ]) {
      expect(allowed({ host, origin })).toBe(false)
    }
  })

  test('of another host or port is foreign', () => {
    const host = 'a.example:8080'
    for (const origin of [
      'http://a.example',
      'http://a.example:8081',
      'http://b.example:8080',
      'http://a.example:8080.evil.example',
      'null',
      '',
      'a.example:8080',
      'file://',
    ]) {
      expect({ origin, is: allowed({ host, origin }) }).toEqual({ origin, is: false })
    }
  })

  test('is compared with the forwarded host only behind a trusted proxy', () => {
    const headers = { host: '10.0.0.1:8080', origin: 'https://chat.example' }
    const forwarded = { ...headers, 'x-forwarded-host': 'chat.example, inner.example' }
    expect(allowed(forwarded)).toBe(false)
    expect(allowed(forwarded, true)).toBe(true)
    expect(allowed(headers, true)).toBe(false)
  })
})

describe('what a request brings', () => {
  const of = (request: Request) => credentialsOf(request, new URL(request.url))

  test('is a bearer, of the header or of a sub-protocol', () => {
    expect(of(to({ authorization: 'Bearer a.b.c' })).token).toBe('a.b.c')
    expect(of(to({ authorization: 'bearer a.b.c' })).token).toBe('a.b.c')
    expect(of(to({ 'sec-websocket-protocol': 'sluice.v1, bearer.a.b.c' })).token).toBe('a.b.c')
    expect(of(to({})).token).toBeUndefined()
  })

  test('is refused when its Authorization is no bearer', () => {
    for (const authorization of ['Basic YTpi', 'Bearer', 'Bearer a b', 'a.b.c']) {
      expect(() => of(to({ authorization }))).toThrow(ContractError)
    }
  })

  test('is a cookie on what reads, and on nothing else', () => {
    const headers = { cookie: 'theme=dark; sluice=a.b.c; sluicer=x' }
    expect(of(to(headers)).cookie).toBe('a.b.c')
    for (const method of ['POST', 'PATCH', 'DELETE']) {
      expect(of(to(headers, 'http://127.0.0.1/', method)).cookie).toBeUndefined()
    }
  })

  test('is never a token in the URL', () => {
    for (const name of ['token', 'access_token', 'jwt']) {
      expect(() => of(to({}, `http://127.0.0.1/ws/chat?sessionId=s&${name}=a.b.c`))).toThrow(name)
    }
  })

  test('names a user in either spelling', () => {
    expect(of(to({}, 'http://127.0.0.1/?userId=ann')).named).toBe('ann')
    expect(of(to({}, 'http://127.0.0.1/?user_id=ann')).named).toBe('ann')
  })
})
