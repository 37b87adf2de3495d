import { expect, test } from 'bun:test'
import type { Database } from '#db/client.ts'
import { eraseSession } from '#db/queries/erase-session.ts'
import { saveMessages } from '#db/queries/save-messages.ts'
import { searchMessages } from '#db/queries/search-messages.ts'
import { uuidv7 } from '#runtime/ids.ts'

const startMs = Date.now() - 60_000

export function searchSuite(database: () => Database): void {
  /** A user with these texts, one message each. */
  async function user(...texts: string[]) {
    const id = crypto.randomUUID()
    const owner = { sessionId: `s-${id}`, tenantId: 'default', userId: `u-${id}` }
    await saveMessages(
      database().db,
      texts.map((content, seq) => ({
        ...owner,
        messageId: uuidv7(startMs + seq),
        conversationId: owner.sessionId,
        role: 'assistant',
        content,
        outcome: 'completed',
        createdAt: '',
        epoch: 1,
        seq: seq + 1,
      })),
    )
    const search = (text: string, limit = 50) =>
      searchMessages(database().db, owner, { text, limit })
    const excerpts = async (text: string) => (await search(text)).map(({ excerpt }) => excerpt)
    return { owner, search, excerpts }
  }

  test('search finds all words in any case, phrases in order, and leaves out what it must', async () => {
    const { search } = await user('Red apple pie', 'apple red', 'green APPLE', 'ÄPFEL und Birnen')
    const found = async (text: string) =>
      (await search(text)).map(({ excerpt }) => excerpt.replaceAll(/<\/?mark>/g, '')).sort()
    expect(await found('apple red')).toEqual(['Red apple pie', 'apple red'])
    expect(await found('"red apple"')).toEqual(['Red apple pie'])
    expect(await found('APPLE -red')).toEqual(['green APPLE'])
    expect(await found('apple -"red apple"')).toEqual(['apple red', 'green APPLE'])
    expect(await found('äpfel')).toEqual(['ÄPFEL und Birnen'])
    expect(await found('red or green')).toEqual([])
    expect(await found('app')).toEqual([])
  })

  test('no text of a search is an error, and none of it is SQL or an operator', async () => {
    const { search } = await user("it's 100% a\\b test")
    for (const text of [
      '',
      '   ',
      '"',
      '-',
      '!!!',
      '& | ! ( ) <-> :*',
      "'; drop table messages; --",
      'a\u0000b',
      '\ud800',
      '"unclosed phrase',
      '--x',
      `${'word '.repeat(5_000)}`,
      '$1 %s \\',
    ]) {
      expect(await search(text)).toBeArray()
    }
    expect(await search('100 test')).toHaveLength(1)
  })

  test('an excerpt is escaped text with marks, whatever the text tries', async () => {
    const attack =
      '<img src=x onerror=alert(1)> needle </mark><script>alert(2)</script> "q" \'s\' &lt; \u0002\u0003 \u0002'
    const { excerpts } = await user(attack)
    const [excerpt = ''] = await excerpts('needle')
    expect(excerpt).toContain('<mark>needle</mark>')
    expect(excerpt.replaceAll(/<mark>|<\/mark>/g, '')).not.toMatch(/[<>"']/)
    expect(excerpt.match(/<mark>/g)).toHaveLength(1)
    expect(excerpt.match(/<\/mark>/g)).toHaveLength(1)
    expect(excerpt).toContain('&amp;lt;')
  })

  test('a text without spaces and a huge one are found, with a short excerpt', async () => {
    const { excerpts } = await user(
      `${'漢'.repeat(5_000)} needle ${'字'.repeat(5_000)}`,
      `${'😀'.repeat(100_000)} ${Array.from({ length: 60_000 }, (_, at) => `w${at}-x${at}`).join(' ')}`,
    )
    const [excerpt = ''] = await excerpts('needle')
    expect(excerpt).toContain('<mark>needle</mark>')
    expect(excerpt.length).toBeLessThan(1_000)
    expect(excerpt.isWellFormed()).toBe(true)
    expect(await excerpts('w5-x5')).toHaveLength(1)
  })

  test('the best comes first, then the newest, at most as many as wanted', async () => {
    const { search, owner } = await user('cat', 'cat cat cat', 'cat')
    const found = await search('cat')
    expect(found.map(({ createdAt }) => Date.parse(createdAt) - startMs)).toEqual([1, 2, 0])
    expect(found[0]).toMatchObject({ sessionId: owner.sessionId, role: 'assistant' })
    expect(found[0]?.score ?? 0).toBeGreaterThan(found[1]?.score ?? 1)
    expect(await search('cat', 2)).toEqual(found.slice(0, 2))
  })

  test("search never finds another's text, nor what is erased", async () => {
    const { owner, search } = await user('hidden treasure')
    const text = { text: 'treasure', limit: 5 }
    const { db } = database()
    expect(await searchMessages(db, { ...owner, userId: 'eve' }, text)).toEqual([])
    expect(await searchMessages(db, { ...owner, tenantId: 'other' }, text)).toEqual([])
    expect(await search('treasure')).toHaveLength(1)
    await eraseSession(db, { ...owner, epoch: 1, seq: 9, at: new Date().toISOString() })
    expect(await search('treasure')).toEqual([])
    expect(await search('-nothing')).toEqual([])
  })
}
