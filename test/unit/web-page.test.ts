import { describe, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { titleFrom } from '#gateway/web/app/chat-list.ts'
import { periodOf } from '#gateway/web/app/dates.ts'
import { createPage, type Page } from '#gateway/web/page.ts'

const base = 'http://chat.example:8080'
const web = fileURLToPath(new URL('../../gateway/web', import.meta.url))

async function get(page: Page, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await page.respond(new Request(base + path, init))
  if (response === null) throw new Error(`the page does not answer ${path}`)
  return response
}

const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer())

describe('the page', () => {
  const page = createPage()

  test('answers its own paths and no other', async () => {
    for (const path of ['/', '/?x=1', '/assets/app.js', '/assets/app.css', '/favicon.svg']) {
      expect((await get(page, path)).status).toBe(200)
    }
    for (const path of [
      '/index.html',
      '/assets/',
      '/assets/../page.ts',
      '/api/chat',
      '/constructor',
    ]) {
      expect(page.respond(new Request(base + path))).toBeNull()
    }
    expect(page.respond(new Request(`${base}/`, { method: 'POST' }))).toBeNull()
  })

  test('is made of what its HTML names, without a script or a style of its own', async () => {
    const html = await (await get(page, '/')).text()
    const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '')
    expect(named).toContain('/assets/app.js')
    for (const path of named) expect((await get(page, path)).status).toBe(200)
    expect(html).not.toMatch(/<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=/)
    const script = await (await get(page, '/assets/app.js')).text()
    expect(script).not.toMatch(/\beval\(|new Function\(|sourceMappingURL/)
  })

  test('lets a browser run nothing but its script, and connect nowhere else', async () => {
    const { headers } = await get(page, '/')
    const policy = Object.fromEntries(
      (headers.get('content-security-policy') ?? '').split('; ').map((rule) => {
        const [name = '', ...values] = rule.split(' ')
        return [name, values.join(' ')]
      }),
    )
    expect(policy).toMatchObject({
      'default-src': "'none'",
      'script-src': "'self'",
      'style-src': "'self'",
      'connect-src': "'self' ws://chat.example:8080 wss://chat.example:8080",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
      'require-trusted-types-for': "'script'",
    })
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
  })

  test('is sent again only when it is another', async () => {
    for (const path of ['/', '/assets/app.js', '/assets/app.css']) {
      const first = await get(page, path)
      const etag = first.headers.get('etag') ?? ''
      expect(etag).toMatch(/^"[\w-]{22}"$/)
      const again = await get(page, path, { headers: { 'if-none-match': etag } })
      expect(again.status).toBe(304)
      expect((await bytesOf(again)).length).toBe(0)
      const other = await get(page, path, { headers: { 'if-none-match': '"other"' } })
      expect(other.status).toBe(200)
    }
  })

  test('is zipped for whoever takes that, and the same without', async () => {
    const plain = await get(page, '/assets/app.js')
    const zipped = await get(page, '/assets/app.js', { headers: { 'accept-encoding': 'br, gzip' } })
    expect(plain.headers.get('content-encoding')).toBeNull()
    expect(zipped.headers.get('content-encoding')).toBe('gzip')
    const [whole, small] = [await bytesOf(plain), await bytesOf(zipped)]
    expect(Bun.gunzipSync(small)).toEqual(whole)
    expect(small.length).toBeLessThan(80_000)
  })

  test('answers HEAD with its headers alone', async () => {
    const head = await get(page, '/', { method: 'HEAD' })
    expect(head.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect((await bytesOf(head)).length).toBe(0)
  })
})

describe('the stylesheet', () => {
  const sources = readdirSync(`${web}/app`).map((name) => `${web}/app/${name}`)

  async function classesInUse(): Promise<Set<string>> {
    const texts = await Promise.all(
      [`${web}/index.html`, ...sources].map((path) => Bun.file(path).text()),
    )
    const found = texts.flatMap((text) => [
      ...text.matchAll(/\bclass(?:Name)?(?:=|: | = )["']([\w -]+)["']/g),
      ...text.matchAll(/classList\.(?:add|toggle)\('([\w-]+)'/g),
      ...text.matchAll(/\? '(is-[\w-]+)'/g),
    ])
    return new Set(found.flatMap(([, names]) => (names ?? '').split(' ')))
  }

  test('knows each class that the page uses', async () => {
    const css = await (await get(createPage(), '/assets/app.css')).text()
    const known = new Set([...css.matchAll(/\.([a-z][\w-]*)/g)].map(([, name]) => name))
    const used = await classesInUse()
    expect(used.size).toBeGreaterThan(30)
    expect([...used].filter((name) => !known.has(name))).toEqual([])
  })

  test('uses no variable that it does not set', async () => {
    const css = await (await get(createPage(), '/assets/app.css')).text()
    const set = new Set([...css.matchAll(/^\s*(--[\w-]+):/gm)].map(([, name]) => name))
    const used = [...css.matchAll(/var\((--[\w-]+)/g)].map(([, name]) => name)
    expect(used.filter((name) => !set.has(name))).toEqual([])
  })
})

describe('a chat in the list', () => {
  test('stands under the heading of its day', () => {
    const now = new Date(2026, 2, 10, 9, 30)
    const at = (...date: [number, number, number, number?]) => new Date(...date).toISOString()
    expect(periodOf(at(2026, 2, 10, 0), now)).toBe('Today')
    expect(periodOf(at(2026, 2, 9, 23), now)).toBe('Yesterday')
    expect(periodOf(at(2026, 2, 9, 0), now)).toBe('Yesterday')
    expect(periodOf(at(2026, 2, 8, 23), now)).toBe('Last 7 days')
    expect(periodOf(at(2026, 1, 20), now)).toBe('Last 30 days')
    expect(periodOf(at(2025, 11, 24), now)).toContain('2025')
  })

  test('is named by the first words of its question, cut at a word', () => {
    expect(titleFrom('  Why\n is it? ')).toBe('Why is it?')
    const long = titleFrom(`${'word '.repeat(30)}`)
    expect(long).toMatch(/^(word )+word…$/)
    expect(long.length).toBeLessThanOrEqual(61)
    expect(titleFrom(`${'x'.repeat(59)}👋🏽`)).toBe(`${'x'.repeat(59)}…`)
  })
})
