import { expect, test } from 'bun:test'
import { codesOf, DatabaseAway, isOutage } from '#db/errors.ts'

const withCode = (code: string, cause?: unknown) =>
  Object.assign(new Error('failed', { cause }), { code })

test('what a database or a network does to us is an outage', () => {
  for (const code of [
    '08006',
    '40001',
    '40P01',
    '53300',
    '57P01',
    '57014',
    '58030',
    '23514',
    '25P03',
    '42P01',
    'ECONNREFUSED',
    'ECONNRESET',
    'CONNECTION_CLOSED',
    'CONNECTION_ENDED',
    'CONNECTION_DESTROYED',
    'CONNECT_TIMEOUT',
  ]) {
    expect([code, isOutage(withCode(code))]).toEqual([code, true])
  }
  expect(isOutage(new DatabaseAway('closed'))).toBe(true)
})

test('what is wrong with the statement or its data is none', () => {
  for (const code of [
    '22P02',
    '23505',
    '23502',
    '42601',
    '21000',
    'ERR_INVALID_ARG_TYPE',
    '4000',
  ]) {
    expect([code, isOutage(withCode(code))]).toEqual([code, false])
  }
  for (const error of [null, undefined, 'ECONNRESET', new Error('ECONNRESET'), { code: 8006 }]) {
    expect(isOutage(error)).toBe(false)
  }
})

test('causes are looked through, and a ring of them ends', () => {
  const wrapped = new Error('query failed', {
    cause: new Error('driver', { cause: withCode('57P03') }),
  })
  expect(isOutage(wrapped)).toBe(true)
  expect(codesOf(withCode('23505', withCode('ECONNRESET')))).toEqual(['23505', 'ECONNRESET'])
  const ring = new Error('ring')
  ring.cause = ring
  expect(isOutage(ring)).toBe(false)
})
