import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { ask, ended, isReady, shows, type TestBrowser, testBrowser } from '../support/browser.ts'
import { type TestGateway, testGateway } from '../support/gateway.ts'
import { type ModelCall, ScriptedModel } from '../support/scripted-model.ts'
import { until } from '../support/until.ts'
import { Wire } from '../support/wire.ts'

let browser: TestBrowser
let gateway: TestGateway
let wire: Wire
let model: ScriptedModel
// What Chromium says of a network that is not there, and the page of a list of chats that has no database.
const allow =
  /WebSocket connection|Failed to load|net::ERR|503|cannot be reached|could not be reached|unavailable|no database/i

beforeAll(async () => {
  browser = await testBrowser()
})

afterAll(() => browser[Symbol.asyncDispose]())

beforeEach(async () => {
  model = new ScriptedModel()
  gateway = testGateway({ model })
  wire = await Wire.to(gateway.url)
})

afterEach(async () => {
  await wire[Symbol.asyncDispose]()
  await gateway[Symbol.asyncDispose]()
})

const open = () => browser.page(wire.url, { allow })

async function call(number = 1): Promise<ModelCall> {
  await until(() => model.calls.length >= number, { what: 'the model is asked', timeoutMs: 15_000 })
  const last = model.calls.at(-1)
  if (last === undefined) throw new Error('nobody asked the model')
  return last
}

const transportOf = (page: Page) => page.locator('body').getAttribute('data-transport')

test('a network that goes and comes back costs no word', async () => {
  const page = await open()
  await ask(page, 'Tell me.')
  const answer = await call()
  answer.say('before ')
  await shows(page, ['before'])
  wire.cut()
  await page.locator('body[data-state="reconnecting"]').waitFor()
  answer.say('during ')
  await page.getByText('Connection lost. Reconnecting …').waitFor()
  wire.mend()
  await page
    .getByRole('button', { name: 'Try now' })
    .click({ timeout: 3000 })
    // It may have come back by itself meanwhile.
    .catch(() => undefined)
  await isReady(page)
  answer.say('after')
  await shows(page, ['before during after'])
  answer.end()
  await ended(page, 'completed')
  expect(await transportOf(page)).toBe('websocket')
})

test('a question that is asked without a network is sent once it is back, and only once', async () => {
  const page = await open()
  wire.cut()
  await page.locator('body[data-state="reconnecting"]').waitFor()
  await ask(page, 'Are you there?')
  await page.locator('.question[data-status="sending"]').waitFor()
  expect(model.calls).toHaveLength(0)
  wire.mend()
  const answer = await call()
  answer.say('Yes.')
  answer.end()
  await shows(page, ['Yes.'])
  await ended(page, 'completed')
  expect(model.calls).toHaveLength(1)
  expect(await page.locator('.bubble').count()).toBe(1)
})

test('a browser that is offline says so, and goes on where it stopped', async () => {
  const page = await open()
  await ask(page, 'Tell me.')
  const answer = await call()
  answer.say('one ')
  await shows(page, ['one'])
  await page.context().setOffline(true)
  wire.cut()
  await page.getByText('You are offline.').waitFor()
  answer.say('two ')
  wire.mend()
  await page.context().setOffline(false)
  await isReady(page)
  answer.say('three')
  await shows(page, ['one two three'])
  answer.end()
  await ended(page, 'completed')
  expect(await page.getByText('You are offline.').count()).toBe(0)
})

test('where no WebSocket passes the page streams by SSE, with all that it can do', async () => {
  wire.blocksWebSockets = true
  const page = await open()
  expect(await transportOf(page)).toBe('sse')
  expect(wire.blocked).toBeGreaterThan(0)
  await ask(page, 'Tell me.')
  const answer = await call()
  answer.say('one ')
  await shows(page, ['one'])
  wire.cut()
  answer.say('two ')
  await page.locator('body[data-state="reconnecting"]').waitFor()
  wire.mend()
  await isReady(page)
  answer.say('three')
  await shows(page, ['one two three'])
  await page.reload()
  await isReady(page)
  await shows(page, ['one two three'])
  await page.getByRole('button', { name: 'Stop the answer' }).click()
  await ended(page, 'cancelled')
  expect(answer.signal.aborted).toBe(true)
})
