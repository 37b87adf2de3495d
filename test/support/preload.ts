import { afterAll, afterEach, beforeEach } from 'bun:test'
import { scopeEnds, testBegins } from './tracker.ts'

beforeEach(testBegins)

afterEach(async () => {
  const left = await scopeEnds('test')
  if (left.length > 0) throw new Error(`the test left open: ${left.join(', ')}`)
})

afterAll(async () => {
  const left = await scopeEnds('file')
  if (left.length > 0) throw new Error(`the file left open: ${left.join(', ')}`)
})
