import { afterAll, beforeAll, expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { type TestBrowser, testBrowser } from '../support/browser.ts'
import { seeded } from '../support/seeded.ts'
import { opened } from '../support/tracker.ts'

let browser: TestBrowser
let server: Bun.Server<undefined>
let closed: () => void

beforeAll(async () => {
  const entry = fileURLToPath(
    new URL('../../gateway/web/app/streamed-markdown.ts', import.meta.url),
  )
  const built = await Bun.build({ entrypoints: [entry], target: 'browser' })
  const script = await built.outputs[0]?.text()
  const page = '<!doctype html><body data-state="open"><p>.</p></body>'
  server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: ({ url }) =>
      new URL(url).pathname === '/streamed.js'
        ? new Response(script, { headers: { 'content-type': 'text/javascript' } })
        : new Response(page, { headers: { 'content-type': 'text/html' } }),
  })
  closed = opened('server of the script')
  browser = await testBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await server.stop(true)
  closed()
})

interface Rendered {
  whole: string
  streamed: string
  /** Blocks as they were finished. */
  blocks: string[]
  /** Nodes of finished blocks that were made anew. */
  replaced: number
}

/** Renders the text as it comes in these pieces, and at once. */
function rendered(page: Page, pieces: string[]): Promise<Rendered> {
  return page.evaluate(async (parts) => {
    const path = '/streamed.js'
    const { StreamedMarkdown } = await import(path)
    const once = document.createElement('div')
    new StreamedMarkdown(once).update(parts.join(''), true)
    const root = document.createElement('div')
    const blocks: string[] = []
    const markdown = new StreamedMarkdown(root, (text: string) => blocks.push(text))
    let text = ''
    let replaced = 0
    let finished: Element[] = []
    for (const part of parts) {
      text += part
      markdown.update(text, false)
      const now = [...root.children].filter((child) => !child.classList.contains('tail'))
      replaced += finished.filter((child, at) => now[at] !== child).length
      finished = now
    }
    markdown.update(text, true)
    return { whole: once.innerHTML, streamed: root.innerHTML, blocks, replaced }
  }, pieces)
}

const fragments = [
  'Some words ',
  'and more',
  '\n',
  '\n\n',
  '\r\n',
  '# Title\n',
  '## Two\n\n',
  '- one\n',
  '- two\n',
  '  - inner\n',
  '1. first\n',
  '2. second\n\n',
  '```ts\n',
  '```\n',
  '~~~\n',
  '````\n',
  'const a = `b`\n',
  '    indented\n',
  '> quoted\n',
  '> > twice\n',
  '| a | b |\n',
  '| - | -: |\n',
  '| 1 | 2 |\n',
  '**bold',
  '**',
  '*em*',
  '`co',
  'de`',
  '[link](https://example.org)',
  '[ref]',
  '\n[ref]: https://example.org/r\n',
  '---\n',
  '===\n',
  '<b>x</b>',
  '<br>',
  '&amp; < >',
  '👋🏽',
  'é',
  '\\*',
  '![alt](https://example.org/p.png)',
  '\t',
]

test('an answer that comes in pieces looks in the end as if it had come at once', async () => {
  const page = await browser.page(server.url.href)
  for (let seed = 1; seed <= 150; seed += 1) {
    const random = seeded(seed)
    const length = 1 + Math.floor(random() * 40)
    const text = Array.from(
      { length },
      () => fragments[Math.floor(random() * fragments.length)] ?? '',
    ).join('')
    const pieces: string[] = []
    for (let at = 0; at < text.length; ) {
      const next = at + 1 + Math.floor(random() * 6)
      pieces.push(text.slice(at, next))
      at = next
    }
    const { whole, streamed } = await rendered(page, pieces)
    expect(streamed, `seed ${seed}: ${JSON.stringify(text)}`).toBe(whole)
  }
})

test('a finished block is made once and never touched again', async () => {
  const page = await browser.page(server.url.href)
  const text = '# One\n\nTwo **bold** words.\n\n- a\n- b\n\n```ts\nx\n```\n\nLast.'
  const { blocks, replaced } = await rendered(page, [...text])
  expect(replaced).toBe(0)
  expect(blocks).toEqual(
    ['One', 'Two bold words.', 'a\nb', 'Code, ts', 'Last.'].map((block) =>
      expect.stringContaining(block.split('\n')[0] ?? ''),
    ),
  )
})

test('inside a code block that is open nothing is parsed, and the end of it is seen', async () => {
  const page = await browser.page(server.url.href)
  const code = Array.from({ length: 200 }, (_, at) => `line ${at} \`\` <b>**x**</b>\n`).join('')
  const { whole, streamed } = await rendered(page, [
    '```js\n',
    ...code,
    '`',
    '`',
    '`',
    '\n\nAfter.',
  ])
  expect(streamed).toBe(whole)
  expect(streamed).toContain('<p>After.</p>')
})
