import { afterAll, beforeAll, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { demoModel } from '#gateway/models/demo.ts'
import { ask, ended, isReady, shows, type TestBrowser, testBrowser } from '../support/browser.ts'
import { testGateway } from '../support/gateway.ts'

let browser: TestBrowser
// The list of chats has no database here; and what is refused is told on the console as well.
const allow =
  /40[139]|429|503|WebSocket|cannot be reached|unavailable|no database|not authenticated|token/i
const secret = 'a secret of at least thirty-two bytes'
const jwt = { HOST: '127.0.0.1', AUTH: 'jwt', JWT_SECRET: secret }
const tokenOf = (user: string) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))
const model = () => demoModel({ tokensPerSecond: 0, firstTokenMs: 0 })

beforeAll(async () => {
  browser = await testBrowser()
})

afterAll(() => browser[Symbol.asyncDispose]())

test('whoever is not signed in is asked to, and the session outlives a reload', async () => {
  await using gateway = testGateway({ model: model(), env: jwt })
  const page = await browser.page(gateway.url, { allow, until: 'closed' })
  await page.getByText('You are signed out.').waitFor()
  await page.getByRole('button', { name: 'Sign in' }).click()
  const field = page.getByRole('textbox', { name: 'Access token' })
  const confirm = page.getByRole('dialog').getByRole('button', { name: 'Sign in' })
  await field.fill('no token')
  await confirm.click()
  await page.getByText('That does not look like a token.').waitFor()
  await field.fill(await tokenOf('ann'))
  await confirm.click()
  await isReady(page)
  expect(await page.locator('#user').textContent()).toBe('ann')
  await ask(page, 'Hello /echo')
  await shows(page, ['Hello'])
  await page.reload()
  await isReady(page)
  await shows(page, ['Hello'])
  expect(await page.locator('#user').textContent()).toBe('ann')
})

test('a question that is refused stays on the page, to be sent again or given up', async () => {
  await using gateway = testGateway({ model: model(), env: { RATE_CHATS_PER_MINUTE: '1' } })
  const page = await browser.page(gateway.url, { allow })
  await ask(page, 'First /echo')
  await ended(page, 'completed')
  await ask(page, 'Second /echo')
  const unsent = page.locator('.question[data-status="unsent"]')
  await unsent.waitFor()
  expect(await unsent.locator('.bubble').textContent()).toBe('Second /echo')
  expect(await unsent.getByRole('alert').textContent()).toStartWith('Not sent.')
  await unsent.getByRole('button', { name: 'Discard' }).click()
  await unsent.waitFor({ state: 'detached' })
  await shows(page, ['First'])
})

test('a chat of someone else is not shown', async () => {
  await using gateway = testGateway({ model: model(), env: jwt })
  const as = await tokenOf('ann')
  const body = { sessionId: 'anns', message: 'A secret /echo' }
  expect((await gateway.call('POST', '/api/chat', { as, body })).status).toBe(202)
  const page = await browser.page(`${gateway.url}/#anns`, { allow, until: 'closed' })
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('textbox', { name: 'Access token' }).fill(await tokenOf('bob'))
  await page.getByRole('dialog').getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('This chat belongs to someone else.').waitFor()
  expect(await page.locator('.message').count()).toBe(0)
})
