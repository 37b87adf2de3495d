import { afterAll, beforeAll, expect, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { historyConsumer } from '#consumers/history/handle.ts'
import { runConsumer } from '#consumers/run.ts'
import type { Database } from '#db/client.ts'
import { demoModel } from '#gateway/models/demo.ts'
import { quietLog } from '#runtime/log.ts'
import { ask, ended, isReady, type TestBrowser, testBrowser } from '../support/browser.ts'
import { migratedDatabase, type TestGateway, testGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

let browser: TestBrowser
let database: Database
let gateway: TestGateway
const leaving = new AbortController()
let left: Promise<void>

beforeAll(async () => {
  database = await migratedDatabase()
  gateway = testGateway({ database, model: demoModel({ tokensPerSecond: 0, firstTokenMs: 0 }) })
  const { signal } = leaving
  const eventLog = await gateway.log.eventLog()
  const consumer = runConsumer(historyConsumer(), { eventLog, database, logger: quietLog, signal })
  left = consumer.finished
  browser = await testBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  leaving.abort()
  await left
  await gateway[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

const open = () => browser.page(gateway.url)
const listed = (page: Page) => page.locator('#chats a')

/** A finished chat of its own, and its id. */
async function chatAbout(page: Page, question: string): Promise<string> {
  await page.locator('#new-chat').click()
  await isReady(page)
  await ask(page, `${question} /echo`)
  await ended(page, 'completed')
  return new URL(page.url()).hash.slice(1)
}

/** Waits until the server lists the chat by that title: the list is made from the log. */
async function isListed(sessionId: string, title: string): Promise<void> {
  const find = async () => {
    const { body } = await gateway.call('GET', '/api/sessions')
    return body.sessions.some(
      (chat: { sessionId: string; title: string | null }) =>
        chat.sessionId === sessionId && chat.title === title,
    )
  }
  await until(find, { what: `${title} is listed`, timeoutMs: 20_000, everyMs: 50 })
}

test('chats are listed by their first question, and one comes back to them', async () => {
  const page = await open()
  const first = await chatAbout(page, 'Tell me about herons')
  await listed(page).filter({ hasText: 'Tell me about herons' }).waitFor()
  await isListed(first, 'Tell me about herons /echo')
  const second = await chatAbout(page, 'Tell me about otters')
  await isListed(second, 'Tell me about otters /echo')
  expect(await listed(page).first().textContent()).toBe('Tell me about otters /echo')
  await listed(page).filter({ hasText: 'herons' }).click()
  await page.locator('.answer').filter({ hasText: 'Tell me about herons' }).waitFor()
  expect(await page.locator('#chats [aria-current="page"]').textContent()).toContain('herons')
  await page.goBack()
  await page.locator('.answer').filter({ hasText: 'Tell me about otters' }).waitFor()
  const other = await open()
  await listed(other).filter({ hasText: 'otters' }).waitFor()
})

test('the search finds words of answers and goes to the place', async () => {
  const page = await open()
  const sessionId = await chatAbout(page, 'The kingfisher <b>dives</b> at dawn')
  await isListed(sessionId, 'The kingfisher <b>dives</b> at dawn /echo')
  const isFound = async () => {
    const { body } = await gateway.call('GET', '/api/search?q=kingfisher')
    return body.count === 2
  }
  await until(isFound, { what: 'both messages can be found', timeoutMs: 20_000, everyMs: 50 })
  await page.locator('#new-chat').click()
  await page.getByRole('searchbox', { name: 'Search all chats' }).fill('kingfisher dives')
  const result = page.locator('#results a').first()
  await result.waitFor()
  expect(await result.locator('mark').first().textContent()).toBe('kingfisher')
  expect(await result.locator('.excerpt').textContent()).toContain('<b>')
  await result.click()
  const found = page.locator('.message.is-found')
  await found.waitFor()
  expect(await found.textContent()).toContain('kingfisher')
  expect(new URL(page.url()).hash).toBe(`#${sessionId}`)
  await page.getByRole('searchbox').fill('nothingofthesort')
  await page.getByText('Nothing found.').first().waitFor()
})

test('a chat can be renamed and deleted, in every tab', async () => {
  const page = await open()
  const sessionId = await chatAbout(page, 'An old name')
  await isListed(sessionId, 'An old name /echo')
  const other = await page.context().newPage()
  await other.goto(page.url())
  await isReady(other)
  // A tab in the background draws its frames late, and is slow to click on.
  await page.bringToFront()
  await page.getByRole('button', { name: 'Actions for this chat' }).click()
  await page.getByRole('menuitem', { name: 'Rename' }).click()
  await page.getByRole('textbox', { name: 'Title' }).fill('A new name')
  await page.getByRole('button', { name: 'Rename' }).click()
  await listed(page).filter({ hasText: 'A new name' }).waitFor()
  expect(await page.locator('#title').textContent()).toBe('A new name')
  await listed(other).filter({ hasText: 'A new name' }).waitFor()
  await isListed(sessionId, 'A new name')

  await page.getByRole('button', { name: 'Actions for this chat' }).click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete' }).click()
  await page.locator('.empty').waitFor()
  await listed(page).filter({ hasText: 'A new name' }).waitFor({ state: 'detached' })
  await other.locator('.message').first().waitFor({ state: 'detached' })
  const { body } = await gateway.call('GET', `/api/history/${sessionId}`)
  expect(body.messages).toEqual([])
})

test('a long chat opens at its end and shows what is older when it is wanted', async () => {
  const sessionId = `long-${crypto.randomUUID()}`
  for (let at = 1; at <= 30; at += 1) {
    const asked = { sessionId, message: `/echo question ${at} of many` }
    const { status } = await gateway.call('POST', '/api/chat', { body: asked })
    expect(status).toBe(202)
    const isOver = async () => {
      const { body } = await gateway.call('GET', `/api/history/${sessionId}?limit=1`)
      return body.messages[0]?.content === `question ${at} of many`
    }
    await until(isOver, { what: `answer ${at}`, timeoutMs: 10_000 })
  }
  const page = await browser.page(`${gateway.url}/#${sessionId}`)
  const last = page.locator('.answer').last()
  await last.getByText('question 30 of many').waitFor()
  const isInView = () =>
    last.evaluate((element) => element.getBoundingClientRect().bottom <= innerHeight)
  await until(isInView, { what: 'the end is in view', timeoutMs: 10_000 })
  expect(await page.locator('.message').count()).toBe(50)
  const top = page.locator('.message').first()
  const before = await top.evaluate((element) => {
    document.querySelector('#scroll')?.scrollTo({ top: 0 })
    return element.getBoundingClientRect().top
  })
  await page.getByRole('button', { name: 'Show earlier messages' }).click()
  await page.getByText('question 1 of many', { exact: true }).last().waitFor()
  expect(await page.locator('.message').count()).toBe(60)
  // What was read stays where it was.
  const after = await page
    .locator('.message')
    .nth(10)
    .evaluate((element) => element.getBoundingClientRect().top)
  expect(Math.abs(after - before)).toBeLessThan(60)
})
