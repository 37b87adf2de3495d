import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import {
  ask,
  ended,
  isReady,
  screenshot,
  shows,
  type TestBrowser,
  testBrowser,
} from '../support/browser.ts'
import { type TestGateway, testGateway } from '../support/gateway.ts'
import { type ModelCall, ScriptedModel } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'

let browser: TestBrowser
let gateway: TestGateway
const model = new ScriptedModel()
// The list of chats has no database here.
const allow = /503|cannot be reached|unavailable|no database/i

beforeAll(async () => {
  gateway = testGateway({ model })
  browser = await testBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await gateway[Symbol.asyncDispose]()
})

async function nextCall(before: number): Promise<ModelCall> {
  await until(() => model.calls.length > before, { what: 'the model is asked', timeoutMs: 10_000 })
  const call = model.calls.at(-1)
  if (call === undefined) throw new Error('nobody asked the model')
  return call
}

async function answered(page: Page, question: string, answer: string): Promise<void> {
  const before = model.calls.length
  await ask(page, question)
  const call = await nextCall(before)
  call.say(answer)
  call.end()
  await ended(page, 'completed')
}

const focusedName = (page: Page) =>
  page.evaluate(() => {
    const { activeElement } = document
    return activeElement?.getAttribute('aria-label') ?? activeElement?.textContent?.trim() ?? ''
  })

test('a screen reader hears finished blocks and the end, never a token', async () => {
  const page = await browser.page(gateway.url, { allow })
  const log = page.getByRole('log', { name: 'Progress of the answer' })
  const before = model.calls.length
  await ask(page, 'Read to me.')
  const call = await nextCall(before)
  call.say('## Title\n\nOne ')
  await shows(page, ['Title\n\nOne'])
  expect(await page.locator('#thread').getAttribute('aria-busy')).toBe('true')
  call.say('paragraph.\n\n', 'Another.\n\n', '```ts\nx\n```\n\n', 'Last.')
  call.end()
  await log.getByText('End of the answer.').waitFor()
  const lines = await log.locator('p').allTextContents()
  expect(lines).toEqual([
    'Title',
    'One paragraph.',
    'Another.',
    'Code, ts',
    'Last.',
    'End of the answer.',
  ])
  expect(await page.locator('#thread').getAttribute('aria-busy')).toBe('false')
})

test('every control has a name, every field a label, and headings lead through the messages', async () => {
  const page = await browser.page(gateway.url, { allow })
  await answered(page, 'Names?', '# A\n\n```js\n1\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |\n')
  const nameless = await page
    .locator('button, a, input, textarea, [tabindex="0"]')
    .evaluateAll((all) =>
      all
        .filter((element) => element.checkVisibility())
        .filter(
          (element) => !(element.getAttribute('aria-label') ?? element.textContent ?? '').trim(),
        )
        .map((element) => element.outerHTML),
    )
  expect(nameless).toEqual([])
  for (const role of ['main', 'navigation', 'search', 'complementary'] as const) {
    expect(await page.getByRole(role).count()).toBe(1)
  }
  expect(await page.getByRole('heading', { name: 'You', exact: true }).count()).toBe(1)
  expect(await page.getByRole('heading', { name: 'Answer', exact: true }).count()).toBe(1)
  expect(await page.getByRole('region', { name: 'Code, js' }).count()).toBe(1)
  expect(await page.getByRole('region', { name: 'Table' }).count()).toBe(1)
  expect(await page.locator('html').getAttribute('lang')).toBe('en')
})

/** The contrast of an element's text with what lies behind it, as WCAG counts it. */
function contrastOf(page: Page, selector: string): Promise<number> {
  return page
    .locator(selector)
    .first()
    .evaluate((element) => {
      const context = document
        .createElement('canvas')
        .getContext('2d', { willReadFrequently: true })
      if (context === null) throw new Error('no canvas')
      const backgrounds: string[] = []
      for (let at: Element | null = element; at !== null; at = at.parentElement) {
        backgrounds.unshift(getComputedStyle(at).backgroundColor)
      }
      const luminance = (colours: string[]) => {
        for (const colour of colours) {
          context.fillStyle = colour
          context.fillRect(0, 0, 1, 1)
        }
        const [red = 0, green = 0, blue = 0] = [...context.getImageData(0, 0, 1, 1).data]
          .map((value) => value / 255)
          .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
      }
      const behind = luminance(backgrounds)
      const text = luminance([...backgrounds, getComputedStyle(element).color])
      return (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05)
    })
}

test.each([
  ['light', false],
  ['dark', true],
])('text stands out from what lies behind it, %s', async (name, dark) => {
  const page = await browser.page(gateway.url, { allow, dark })
  const places = [
    '.empty p',
    '.empty strong',
    '.hint',
    '.nothing',
    '.new-chat',
    '.user',
    '.search-key',
  ]
  for (const place of places) {
    expect([place, await contrastOf(page, place)]).toEqual([place, expect.any(Number)])
    expect(await contrastOf(page, place), place).toBeGreaterThanOrEqual(4.5)
  }
  await answered(page, 'Look.', 'Some `code` and [a link](https://example.org).\n\n```ts\nx\n```')
  for (const place of ['.bubble', '.prose p', '.prose code', '.prose a', '.code-head', '.title']) {
    expect(await contrastOf(page, place), place).toBeGreaterThanOrEqual(4.5)
  }
  expect((await screenshot(page, name)).byteLength).toBeGreaterThan(10_000)
})

test('on a phone the list of chats is a drawer, and nothing is wider than the screen', async () => {
  const page = await browser.page(gateway.url, { allow, phone: true })
  expect(await page.locator('#sidebar').isVisible()).toBe(false)
  await page.getByRole('textbox', { name: 'Your message' }).fill('Wide?')
  const before = model.calls.length
  await page.getByRole('button', { name: 'Send' }).tap()
  const call = await nextCall(before)
  const long = 'abcdefghij'.repeat(40)
  call.say(`${long}\n\n\`\`\`\n${long}\n\`\`\`\n\n| ${long} | b |\n| - | - |\n| c | d |\n`)
  call.end()
  await ended(page, 'completed')
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390)
  await page.getByRole('button', { name: 'Open the list of chats' }).tap()
  await page.getByRole('button', { name: 'Close the list of chats' }).waitFor()
  expect(await page.locator('#main').evaluate((main) => (main as HTMLElement).inert)).toBe(true)
  await page.keyboard.press('Escape')
  await page.locator('#sidebar').waitFor({ state: 'hidden' })
  expect(await focusedName(page)).toBe('Open the list of chats')
  expect((await screenshot(page, 'phone')).byteLength).toBeGreaterThan(10_000)
  await isReady(page)
})

test('who wants less motion gets none', async () => {
  const page = await browser.page(gateway.url, { allow, context: { reducedMotion: 'reduce' } })
  const before = model.calls.length
  await ask(page, 'Move.')
  const call = await nextCall(before)
  call.say('One')
  await shows(page, ['One'])
  const running = await page.evaluate(() => document.getAnimations().length)
  expect(running).toBe(0)
  call.end()
  await ended(page, 'completed')
})
