import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { tempDir } from './temp.ts'
import { atEnd, opened } from './tracker.ts'
import { until } from './until.ts'

export interface PageOptions {
  dark?: boolean
  phone?: boolean
  context?: BrowserContextOptions
  /** The state that the chat is to come to first; `open` by default. */
  until?: 'open' | 'closed'
  /** What the browser may complain of; anything else that it says fails the test. */
  allow?: RegExp
}

export interface TestBrowser extends AsyncDisposable {
  /** A page in a browser profile of its own, closed at the end of the test. */
  page(url: string, options?: PageOptions): Promise<Page>
}

/** One per file, made in `beforeAll`. */
export async function testBrowser(): Promise<TestBrowser> {
  const executablePath = process.env['SLUICE_TEST_CHROMIUM'] ?? '/usr/bin/chromium'
  if (!existsSync(executablePath)) {
    throw new Error(
      `no Chromium at ${executablePath}: "apt-get install -y chromium", or name one in SLUICE_TEST_CHROMIUM`,
    )
  }
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  })
  const closed = opened('browser')
  return {
    page: (url, options = {}) => openPage(browser, url, options),
    async [Symbol.asyncDispose]() {
      await browser.close()
      closed()
    },
  }
}

async function openPage(browser: Browser, url: string, options: PageOptions): Promise<Page> {
  const { dark = false, phone = false, allow = /^$/ } = options
  const context = await browser.newContext({
    colorScheme: dark ? 'dark' : 'light',
    viewport: phone ? { width: 390, height: 844 } : { width: 1200, height: 800 },
    ...(phone && { isMobile: true, hasTouch: true }),
    ...options.context,
  })
  // A loaded machine is slow, and a condition that never comes true is told by the test's own limit.
  context.setDefaultTimeout(20_000)
  const complaints: string[] = []
  context.on('console', (message) => {
    const isBad = message.type() === 'error' || message.type() === 'warning'
    if (isBad && !allow.test(message.text())) complaints.push(message.text())
  })
  context.on('weberror', (error) => complaints.push(String(error.error())))
  atEnd(async () => {
    await context.close()
    if (complaints.length > 0) throw new Error(`the browser complained: ${complaints.join('\n')}`)
  })
  const page = await context.newPage()
  await page.goto(url)
  if (!(await page.evaluate(() => navigator.onLine))) await believeOnline(page)
  await page.locator(`body[data-state="${options.until ?? 'open'}"]`).waitFor()
  return page
}

/** On a machine without a network Chromium calls itself offline, though all that a test needs is on this machine. */
async function believeOnline(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page)
  // Without a latency Chromium takes it that nothing is to be emulated.
  const conditions = { offline: false, latency: 1, downloadThroughput: -1, uploadThroughput: -1 }
  await session.send('Network.emulateNetworkConditions', {
    ...conditions,
    connectionType: 'ethernet',
  })
}

/** The chat is connected and everything has come. */
export async function isReady(page: Page): Promise<void> {
  await page.locator('body[data-state="open"]').waitFor()
}

/** Types a question as a person does, and sends it. */
export async function ask(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Your message' }).fill(text)
  await page.keyboard.press('Enter')
}

/** The words of each answer as they stand on the page. */
export async function answers(page: Page): Promise<string[]> {
  const texts = await page.locator('.answer .answer-body').allInnerTexts()
  return texts.map((text) => text.trim())
}

/** Waits until the page shows exactly these answers. */
export async function shows(page: Page, expected: string[]): Promise<void> {
  let last: string[] = []
  const isShown = async () => {
    last = await answers(page)
    return JSON.stringify(last) === JSON.stringify(expected)
  }
  await until(isShown, { timeoutMs: 20_000, everyMs: 25 }).catch((cause: unknown) => {
    throw new Error(`the page shows ${JSON.stringify(last)}, not ${JSON.stringify(expected)}`, {
      cause,
    })
  })
}

/** Waits for the last answer to have ended so. */
export async function ended(page: Page, outcome: string): Promise<void> {
  await page.locator(`.answer[data-outcome="${outcome}"]`).last().waitFor()
}

/** For whoever wants to look: the picture stands in a folder that the test's end removes. */
export async function screenshot(page: Page, name: string): Promise<Uint8Array> {
  return await page.screenshot({ path: join(tempDir('sluice-shots'), `${name}.png`) })
}
