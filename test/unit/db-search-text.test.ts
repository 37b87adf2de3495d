import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { excerptHtml, searchQuery } from '#db/search-text.ts'

test('every term of a search is quoted, so that none is an operator', () => {
  expect(searchQuery('Red or "green apple" -blue -"dark sky"')).toBe(
    '"Red" "or" "green apple" -"blue" -"dark sky"',
  )
  expect(searchQuery('foo"bar"baz "open phrase')).toBe('"foo" "bar" "baz" "open phrase"')
  expect(searchQuery('" - & !! <-> 😀 \u0000')).toBe('')
})

test('an excerpt shows the wanted words as they are written, and no others', () => {
  expect(excerptHtml('Cats catalog CAT', 'cat -log')).toBe('Cats catalog <mark>CAT</mark>')
  expect(excerptHtml('a-b c', 'a-b')).toBe('<mark>a</mark>-<mark>b</mark> c')
  expect(excerptHtml('nothing here', '-cat')).toBe('nothing here')
  expect(excerptHtml('Ärger ÄRGER', 'ärger')).toBe('<mark>Ärger</mark> <mark>ÄRGER</mark>')
})

test('a long text is cut around its first wanted word, between words', () => {
  const excerpt = excerptHtml(`${'before '.repeat(100)}needle ${'after '.repeat(100)}`, 'needle')
  expect(excerpt).toStartWith('…before ')
  expect(excerpt).toContain('<mark>needle</mark>')
  expect(excerpt).toEndWith('after…')
  expect(excerpt.length).toBeLessThan(300)
})

test('no text and no search make other markup than marks, or half a character', () => {
  const nasty = fc.string({ unit: fc.constantFrom('<', '>', '&', '"', "'", 'a', '/', '😀', ' ') })
  fc.assert(
    fc.property(nasty, nasty, fc.nat(80), (content, text, times) => {
      const excerpt = excerptHtml(content.repeat(times), text)
      expect(excerpt.replaceAll(/<mark>[^<>]*<\/mark>/g, '')).not.toMatch(/[<>"']/)
      expect(excerpt.isWellFormed()).toBe(true)
      expect(excerpt).not.toContain('\ufffd')
    }),
  )
})
