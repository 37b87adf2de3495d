import { expect, test } from 'bun:test'
import { owners } from '#gateway/archive/owners.ts'

const ofAnn = (sessionId: string) => ({ sessionId, tenantId: 'default', userId: 'ann' })

/** A server with the sessions of `ann`; `asked`: the ids of each statement. */
function server(known: readonly string[]) {
  const asked: string[][] = []
  const ownerOf = owners(async (ids) => {
    asked.push(ids)
    return ids.filter((id) => known.includes(id)).map(ofAnn)
  })
  return { ownerOf, asked }
}

test('what is asked in one turn is one statement, and each gets its own answer', async () => {
  const { ownerOf, asked } = server(['s1', 's3'])
  const answers = await Promise.all(['s1', 's2', 's3', 's1'].map(ownerOf))
  expect(asked).toEqual([['s1', 's2', 's3']])
  expect(answers).toEqual([ofAnn('s1'), null, ofAnn('s3'), ofAnn('s1')])
})

test('nothing is remembered: a session of a moment ago is found', async () => {
  const known: string[] = []
  const { ownerOf, asked } = server(known)
  expect(await ownerOf('s1')).toBeNull()
  known.push('s1')
  expect(await ownerOf('s1')).toMatchObject({ userId: 'ann' })
  expect(asked).toEqual([['s1'], ['s1']])
})

test('a statement holds a thousand at most', async () => {
  const { ownerOf, asked } = server([])
  await Promise.all(Array.from({ length: 2_500 }, (_, at) => ownerOf(`s${at}`)))
  expect(asked.map((ids) => ids.length)).toEqual([1_000, 1_000, 500])
})

test('a server that fails is told to each that asked, and asked anew by the next', async () => {
  let fails = true
  const ownerOf = owners(async () => {
    if (fails) throw new Error('away')
    return []
  })
  const results = await Promise.allSettled([ownerOf('s1'), ownerOf('s2')])
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  fails = false
  expect(await ownerOf('s1')).toBeNull()
})
