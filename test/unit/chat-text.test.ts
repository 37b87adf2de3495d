import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  type Chunk,
  chunkBytesMax,
  DeltaSplitter,
  wellFormed,
  wellFormedJson,
} from '#gateway/chat/text.ts'
import type { ChunkKind } from '#gateway/generations/generations.ts'

function split(deltas: [ChunkKind, string][]): Chunk[] {
  const pieces: Chunk[] = []
  const splitter = new DeltaSplitter((chunk) => pieces.push(chunk))
  for (const [kind, text] of deltas) splitter.delta(kind, text)
  splitter.end()
  return pieces
}

const texts = (pieces: Chunk[]) => pieces.map(({ text }) => text)
const say = (...deltas: string[]) => split(deltas.map((text) => ['text', text]))

describe('well-formed text', () => {
  test('has U+FFFD for a lone surrogate and for U+0000, and is otherwise as it was', () => {
    expect(wellFormed('a\ud83db\udc00c\0d')).toBe('a\ufffdb\ufffdc\ufffdd')
    const fine = ' \r\n\t👋🏽 é \u0001\ufffe\uffff '
    expect(wellFormed(fine)).toBe(fine)
  })

  test('goes for every string and name inside JSON', () => {
    expect(wellFormedJson({ 'k\0': ['\ud800', { a: 'b' }, 1, null, true] })).toEqual({
      'k\ufffd': ['\ufffd', { a: 'b' }, 1, null, true],
    })
  })
})

describe('the chunks of deltas', () => {
  test('are the deltas, one by one, without the empty ones', () => {
    const pieces = say('', 'Hello', '', ' ', 'wörld')
    expect(texts(pieces)).toEqual(['Hello', ' ', 'wörld'])
    expect(pieces.map(({ bytes }) => bytes)).toEqual([5, 1, 6])
  })

  test('never end inside a surrogate pair', () => {
    expect(texts(say('a\ud83d', '\udc4bb'))).toEqual(['a', '👋b'])
    expect(texts(say('\ud83d', '', '\udc4b'))).toEqual(['👋'])
    expect(texts(say('\ud83d', '\ud83d', '\udc4b'))).toEqual(['\ufffd', '👋'])
  })

  test('have U+FFFD for a half pair at the end of the stream and where text goes on without it', () => {
    expect(texts(say('a\ud83d'))).toEqual(['a', '\ufffd'])
    expect(texts(say('a\ud83d', 'b'))).toEqual(['a', '\ufffdb'])
    expect(texts(say('\udc4bb\0'))).toEqual(['\ufffdb\ufffd'])
  })

  test('are numbered in parts by kind, and no half pair crosses a part', () => {
    const pieces = split([
      ['reasoning', 'hm\ud83d'],
      ['text', '\udc4b'],
      ['text', 'so'],
      ['reasoning', 'hm'],
    ])
    expect(pieces.map(({ kind, part, text }) => [kind, part, text])).toEqual([
      ['reasoning', 0, 'hm'],
      ['reasoning', 0, '\ufffd'],
      ['text', 1, '\ufffd'],
      ['text', 1, 'so'],
      ['reasoning', 2, 'hm'],
    ])
  })

  test('are cut to size between characters', () => {
    const big = `x${'👋'.repeat(20_000)}é${'z'.repeat(50_000)}`
    const pieces = say(big)
    expect(texts(pieces).join('')).toBe(big)
    for (const { text, bytes } of pieces) {
      expect(text.isWellFormed()).toBe(true)
      expect(bytes).toBe(Buffer.byteLength(text))
      expect(bytes).toBeLessThanOrEqual(chunkBytesMax)
    }
    expect(pieces.length).toBeLessThan(10)
  })

  test('joined are the well-formed text of all deltas, however it was cut', () => {
    const units = fc.array(fc.constantFrom('a', '\ud83d', '\udc4b', '\0', 'é', '👋'))
    fc.assert(
      fc.property(fc.array(units), (deltas) => {
        const pieces = say(...deltas.map((delta) => delta.join('')))
        expect(texts(pieces).join('')).toBe(wellFormed(deltas.flat().join('')))
        expect(pieces.every(({ text }) => text !== '' && text.isWellFormed())).toBe(true)
      }),
    )
  })
})
