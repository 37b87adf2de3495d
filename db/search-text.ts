const termsMax = 32
const term = /(-?)(?:"([^"]*)"?|([^\s"]+))/g
const token = /[\p{L}\p{N}]{1,100}/gu
const excerptMax = 240
const leadMax = 60

interface Term {
  isWanted: boolean
  words: string
}

/** Words, "phrases" and -not; what has neither letter nor digit is no term. */
function termsOf(text: string): Term[] {
  return [...text.replaceAll('\u0000', ' ').toWellFormed().matchAll(term)]
    .map(([, not, phrase, word]) => ({ isWanted: not === '', words: phrase ?? word ?? '' }))
    .filter(({ words }) => /[\p{L}\p{N}]/u.test(words))
    .slice(0, termsMax)
}

/**
 * What `websearch_to_tsquery` takes and never refuses: all terms wanted. Each is quoted, for a bare `or` would be an
 * operator. Empty when there is nothing to look for.
 */
export function searchQuery(text: string): string {
  return termsOf(text)
    .map(({ isWanted, words }) => `${isWanted ? '' : '-'}"${words}"`)
    .join(' ')
}

/**
 * The text around the first wanted word as escaped HTML, `<mark>` around each wanted word: whatever the text is,
 * nothing else of it is markup. The beginning when no word of it is wanted.
 */
export function excerptHtml(content: string, text: string): string {
  const wanted = termsOf(text).flatMap(({ isWanted, words }) =>
    isWanted ? (words.match(token) ?? []) : [],
  )
  // Nothing matches an empty class.
  const anyWord = wanted.length === 0 ? '[]' : [...new Set(wanted)].join('|')
  const found = new RegExp(`(?<![\\p{L}\\p{N}])(?:${anyWord})(?![\\p{L}\\p{N}])`, 'giu')
  const { start, end } = windowOf(content, Math.max(0, content.search(found)))
  const shown = content.slice(start, end).replaceAll(/\s+/g, ' ').toWellFormed()
  let html = ''
  let at = 0
  for (const match of shown.matchAll(found)) {
    html += `${escaped(shown.slice(at, match.index))}<mark>${escaped(match[0])}</mark>`
    at = match.index + match[0].length
  }
  html += escaped(shown.slice(at))
  return `${start > 0 ? '…' : ''}${html}${end < content.length ? '…' : ''}`
}

/** Begins and ends between words where there is one near. */
function windowOf(content: string, first: number): { start: number; end: number } {
  let start = Math.max(0, first - leadMax)
  const blank = start === 0 ? -1 : content.slice(start, first).search(/\s/)
  if (blank !== -1) start += blank + 1
  let end = Math.min(content.length, start + excerptMax)
  const lastBlank = end === content.length ? -1 : content.lastIndexOf(' ', end)
  if (lastBlank > first + excerptMax / 2) end = lastBlank
  // Half a pair at either edge is no character.
  if (isLowSurrogate(content.charCodeAt(start))) start += 1
  if (isLowSurrogate(content.charCodeAt(end))) end -= 1
  return { start, end }
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}
