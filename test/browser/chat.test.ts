import { afterAll, beforeAll, expect, test } from 'bun:test'
import { ModelError } from '#gateway/models/model.ts'
import {
  answers,
  ask,
  ended,
  isReady,
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
// No database stands behind this gateway: the page says so for its list of chats, and chats all the same.
const allow = /503|cannot be reached|unavailable|no database/i

beforeAll(async () => {
  gateway = testGateway({ model })
  browser = await testBrowser()
})

afterAll(async () => {
  await browser[Symbol.asyncDispose]()
  await gateway[Symbol.asyncDispose]()
})

const open = (path = '/') => browser.page(gateway.url + path, { allow })

/** The call of the model that comes next. */
async function nextCall(before: number): Promise<ModelCall> {
  await until(() => model.calls.length > before, { what: 'the model is asked', timeoutMs: 10_000 })
  const call = model.calls.at(-1)
  if (call === undefined) throw new Error('nobody asked the model')
  return call
}

test('an answer is on the page word by word, then whole', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, 'Why is the sky blue?')
  const call = await nextCall(before)
  expect(call.request.messages.at(-1)?.content).toBe('Why is the sky blue?')
  call.say('Because ')
  await shows(page, ['Because'])
  call.say('of **scattering**.')
  await shows(page, ['Because of scattering.'])
  expect(await page.locator('.answer strong').textContent()).toBe('scattering')
  call.end()
  await ended(page, 'completed')
  expect(await page.locator('.bubble').textContent()).toBe('Why is the sky blue?')
  expect(await page.title()).toBe('Why is the sky blue? · Sluice')
})

test('a reload in the middle of an answer loses nothing and doubles nothing', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, 'Count.')
  const call = await nextCall(before)
  call.say('one ', 'two ')
  await shows(page, ['one two'])
  const reloading = page.reload()
  call.say('three ', 'four ')
  await reloading
  await isReady(page)
  await shows(page, ['one two three four'])
  call.say('five')
  await shows(page, ['one two three four five'])
  call.end()
  await ended(page, 'completed')
  await page.reload()
  await isReady(page)
  await shows(page, ['one two three four five'])
})

test('Stop ends the answer where it stands, and the next question is taken', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, 'Talk.')
  const call = await nextCall(before)
  call.say('Once upon a time')
  await shows(page, ['Once upon a time'])
  await page.getByRole('button', { name: 'Stop the answer' }).click()
  await ended(page, 'cancelled')
  expect(call.signal.aborted).toBe(true)
  expect(await page.locator('.ended').textContent()).toBe('Stopped.')
  await ask(page, 'And now?')
  const next = await nextCall(before + 1)
  next.say('Now')
  next.end()
  await ended(page, 'completed')
  await shows(page, ['Once upon a time', 'Now'])
})

test('an answer made anew stands beside the first, and one can go back to that', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, 'Heads or tails?')
  const first = await nextCall(before)
  first.say('Heads.')
  first.end()
  await ended(page, 'completed')
  await page.getByRole('button', { name: 'Answer again' }).click()
  const second = await nextCall(before + 1)
  second.say('Tails.')
  second.end()
  await page.getByText('2 of 2').waitFor()
  await shows(page, ['Tails.'])
  expect(await page.locator('.bubble').count()).toBe(1)
  await page.getByRole('button', { name: 'Previous answer' }).click()
  await shows(page, ['Heads.'])
})

test('a second tab shows the same words at the same time, and can stop them', async () => {
  const page = await open()
  const other = await open(`/${new URL(page.url()).hash}`)
  const before = model.calls.length
  await ask(page, 'Say it twice.')
  const call = await nextCall(before)
  call.say('Twice')
  await shows(page, ['Twice'])
  await shows(other, ['Twice'])
  expect(await other.locator('.bubble').textContent()).toBe('Say it twice.')
  await other.getByRole('button', { name: 'Stop the answer' }).click()
  await ended(page, 'cancelled')
  await ended(other, 'cancelled')
})

test('a fault of the model is told with the answer, and what was said stays', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, 'Fail.')
  const call = await nextCall(before)
  call.say('So far so good')
  await shows(page, ['So far so good'])
  call.fail(new ModelError('timeout', 'secret words of the upstream'))
  await ended(page, 'failed')
  await shows(page, ['So far so good'])
  const told = await page.locator('.ended').textContent()
  expect(told).toStartWith('The model could not finish this answer.')
  expect(told).not.toContain('secret')
})

test('thoughts are folded away above the answer', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, 'Think.')
  const call = await nextCall(before)
  call.think('First this, ', 'then that.')
  await page.locator('.thinking.is-active').waitFor()
  call.say('So.')
  call.end()
  await ended(page, 'completed')
  await page.getByText('Thoughts').click()
  expect(await page.locator('.thinking > div').textContent()).toBe('First this, then that.')
})

test('what a model writes can do nothing but be read', async () => {
  const page = await open()
  const before = model.calls.length
  await ask(page, '<img src=x onerror="window.broken=1"><b>bold?</b>')
  const call = await nextCall(before)
  const evil = [
    '<script>window.broken=1</script> <img src=x onerror="window.broken=1">',
    '[a](javascript:window.broken=1) [b](https://example.org/b "t") ![pic](https://example.org/p.png)',
    '<a href="javascript:window.broken=1" onclick="window.broken=1">c</a>',
    '```"><script>window.broken=1</script>\nx\n```',
  ]
  for (const line of evil) call.say(`${line}\n\n`)
  call.end()
  await ended(page, 'completed')
  expect(await page.locator('.thread :is(script, img, b, iframe, style)').count()).toBe(0)
  const links = await page
    .locator('.answer a[href]')
    .evaluateAll((all) => all.map((link) => [link.getAttribute('href'), link.getAttribute('rel')]))
  const rel = 'noopener noreferrer nofollow'
  expect(links).toEqual([
    ['https://example.org/b', rel],
    ['https://example.org/p.png', rel],
  ])
  expect(await page.evaluate(() => 'broken' in window)).toBe(false)
  expect(await page.locator('.bubble').textContent()).toStartWith('<img src=x')
})

test('a code block can be copied as it was written', async () => {
  const page = await browser.page(gateway.url, {
    allow,
    context: { permissions: ['clipboard-read', 'clipboard-write'] },
  })
  const before = model.calls.length
  await ask(page, 'Code.')
  const call = await nextCall(before)
  call.say('```ts\nconst a = 1\n', '  < 2 & "3"\n```\n')
  call.end()
  await ended(page, 'completed')
  await page.getByRole('button', { name: 'Copy code' }).click()
  await page.getByText('Copied').waitFor()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('const a = 1\n  < 2 & "3"')
  expect(await answers(page)).toEqual([expect.stringContaining('ts')])
})
