import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { ask, ended, shows, type TestBrowser, testBrowser } from '../support/browser.ts'
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

/** Tab until the focus stands there; what it passed. */
async function tabTo(page: Page, name: string, key = 'Tab'): Promise<string[]> {
  const passed: string[] = []
  for (let times = 0; times < 40; times += 1) {
    await page.keyboard.press(key)
    const now = await focusedName(page)
    if (now === name) return passed
    passed.push(now)
  }
  throw new Error(`never at ${name}, but at ${passed.join(', ')}`)
}

test('a whole conversation needs no mouse', async () => {
  const page = await browser.page(gateway.url, { allow })
  expect(await focusedName(page)).toBe('Your message')
  const before = model.calls.length
  await page.keyboard.type('First line')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('second line')
  await page.keyboard.press('Enter')
  const call = await nextCall(before)
  expect(call.request.messages.at(-1)?.content).toBe('First line\nsecond line')
  call.say('Going on and on')
  await shows(page, ['Going on and on'])
  await page.keyboard.press('Escape')
  await ended(page, 'cancelled')
  expect(await focusedName(page)).toBe('Your message')
  await tabTo(page, 'Answer again', 'Shift+Tab')
  await page.keyboard.press('Enter')
  const again = await nextCall(before + 1)
  again.say('Short.')
  again.end()
  await ended(page, 'completed')
  await page.getByText('2 of 2').waitFor()
  await page.keyboard.press('Control+Shift+O')
  await page.locator('.empty').waitFor()
  await page.keyboard.press('Control+k')
  expect(await focusedName(page)).toBe('Search all chats')
  await page.keyboard.press('Tab')
  await page.keyboard.press('/')
  expect(await focusedName(page)).toBe('Your message')
})

test('the first stop of Tab leads past the list of chats to the message field', async () => {
  const page = await browser.page(gateway.url, { allow })
  await page.locator('#skip').focus()
  expect(
    await page.locator('#skip').evaluate((skip) => skip.getBoundingClientRect().top >= 0),
  ).toBe(true)
  await page.keyboard.press('Enter')
  expect(await focusedName(page)).toBe('Your message')
})

test('a menu and a dialog keep the focus, and give it back', async () => {
  const page = await browser.page(gateway.url, { allow })
  await answered(page, 'Menu?', 'Menu.')
  const actions = page.getByRole('button', { name: 'Actions for this chat' })
  await actions.focus()
  await page.keyboard.press('Enter')
  await page.getByRole('menu').waitFor()
  expect(await focusedName(page)).toBe('Rename')
  await page.keyboard.press('ArrowDown')
  expect(await focusedName(page)).toBe('Delete')
  await page.keyboard.press('Escape')
  await page.getByRole('menu').waitFor({ state: 'detached' })
  expect(await focusedName(page)).toBe('Actions for this chat')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog', { name: 'Rename chat' })
  await dialog.waitFor()
  for (let times = 0; times < 5; times += 1) {
    await page.keyboard.press('Tab')
    const isInside = await page.evaluate(
      () =>
        document.activeElement === document.body ||
        document.activeElement?.closest('dialog') !== null,
    )
    expect(isInside).toBe(true)
  }
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  expect(await focusedName(page)).toBe('Actions for this chat')
})
