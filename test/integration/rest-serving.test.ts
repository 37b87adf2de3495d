import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { testGateway } from '../support/gateway.ts'
import { tempDir } from '../support/temp.ts'

test('a port that is taken is an error, and leaves nothing behind', async () => {
  await using first = testGateway()
  const { port } = new URL(first.url)
  expect(() => testGateway({ env: { PORT: port } })).toThrow('in use')
  expect((await first.call('GET', '/health/live')).status).toBe(200)
})

test('a stop ends what is open', async () => {
  const gateway = testGateway()
  const stream = await fetch(`${gateway.url}/sse/chat?sessionId=s`)
  const reader = stream.body?.getReader()
  await reader?.read()
  await gateway[Symbol.asyncDispose]()
  const isOver = async () => {
    for (;;) {
      const read = await reader?.read().catch(() => ({ done: true }))
      if (read?.done !== false) return true
    }
  }
  expect(await isOver()).toBe(true)
  expect(fetch(gateway.url)).rejects.toThrow()
})

test('the page and its files are there, and the API beside it', async () => {
  await using gateway = testGateway()
  const page = await gateway.call('GET', '/')
  expect(page.headers.get('content-type')).toStartWith('text/html')
  expect(page.text).toContain('<title>Sluice</title>')
  expect((await gateway.call('GET', '/favicon.svg')).status).toBe(200)
  const json = await gateway.call('GET', '/api/history/s')
  expect(json.headers.get('cache-control')).toBe('no-store')
  expect(json.headers.get('x-content-type-options')).toBe('nosniff')
})

test('more connections may wait than Bun asks the kernel for', async () => {
  await using gateway = testGateway()
  const result = join(tempDir(), 'connected')
  const child = Bun.spawn([process.execPath, '-e', crowd], {
    env: { ...process.env, PORT: new URL(gateway.direct).port, RESULT: result },
  })
  // As long as this thread does nothing else, nobody accepts: all of them have only the kernel to hold them.
  for (let waits = 0; waits < 1_500 && !existsSync(result); waits += 1) Bun.sleepSync(10)
  expect(readFileSync(result, 'utf8')).toBe('2000')
  await child.exited
})

const crowd = `
  const { writeFileSync, renameSync } = require('node:fs')
  let connected = 0
  const tell = () => {
    writeFileSync(process.env.RESULT + '.new', String(connected))
    renameSync(process.env.RESULT + '.new', process.env.RESULT)
    process.exit()
  }
  for (let index = 0; index < 2000; index += 1) {
    require('node:net').connect(process.env.PORT, '127.0.0.1', () => {
      connected += 1
      if (connected === 2000) tell()
    })
  }
  setTimeout(tell, 8000)`
