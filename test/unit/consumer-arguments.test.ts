import { describe, expect, test } from 'bun:test'
import { consumerArguments, UsageError } from '#consumers/arguments.ts'
import { defineConsumer } from '#consumers/define.ts'
import { fromOf } from '#consumers/from.ts'

const nowMs = Date.parse('2026-03-01T12:00:00.000Z')

describe('where a new group begins', () => {
  test.each([
    ['beginning', 'beginning'],
    ['end', 'end'],
    ['-7d', { atMs: nowMs - 7 * 86_400_000 }],
    ['-90m', { atMs: nowMs - 90 * 60_000 }],
    ['-250ms', { atMs: nowMs - 250 }],
    ['2026-02-28', { atMs: Date.parse('2026-02-28') }],
    ['2026-02-28T10:00:00Z', { atMs: Date.parse('2026-02-28T10:00:00Z') }],
  ] as const)('%p is a place', (text, place) => {
    expect(fromOf(text, nowMs)).toEqual(place)
  })

  test.each(['', 'start', '7d', '-7', '-7w', '2026', '2026-13-01', 'yesterday'])(
    '%p is none',
    (text) => {
      expect(fromOf(text, nowMs)).toBeNull()
    },
  )

  test('a definition with none is refused, naming the field', () => {
    const define = () =>
      defineConsumer({
        ...{ name: 'n', groupId: 'g', topics: ['t'], from: 'someday' },
        handle: () => Promise.resolve(),
      })
    expect(define).toThrow('from must be')
  })
})

describe('the command line of a consumer', () => {
  const of = (...args: string[]) => consumerArguments(args, nowMs)

  test('is read in any order, a time behind --from or after =', () => {
    const nothing = { isHelp: false, isRebuild: false, isJson: false, from: null, positionals: [] }
    const weekAgo = { atMs: nowMs - 7 * 86_400_000 }
    expect(of()).toEqual(nothing)
    expect(of('--from', '-7d')).toEqual({ ...nothing, from: weekAgo })
    expect(of('--from=-7d', 'mine.ts')).toEqual({
      ...nothing,
      from: weekAgo,
      positionals: ['mine.ts'],
    })
    expect(of('mine.ts', '--from', 'end')).toEqual({
      ...nothing,
      from: 'end',
      positionals: ['mine.ts'],
    })
    expect(of('--rebuild', '--json')).toEqual({ ...nothing, isRebuild: true, isJson: true })
    expect(of('-h').isHelp).toBe(true)
  })

  test.each([[['--from']], [['--from', 'soon']], [['--nonsense']], [['--rebuild=yes']]])(
    '%p is refused',
    (args) => {
      expect(() => of(...args)).toThrow(UsageError)
    },
  )
})
