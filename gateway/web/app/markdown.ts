import DOMPurify from 'dompurify'
import { Marked, type Token, type TokensList } from 'marked'
import { el } from './dom.ts'
import { icon } from './icons.ts'

/** Harmless HTML that models write inside Markdown; all other tags are shown as they were typed. */
const plainTag = /^<\/?(?:br|sub|sup|kbd|mark|u)\s*\/?>$/i

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string) => text.replace(/[&<>"]/g, (char) => escapes[char] ?? char)

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text }) => (plainTag.test(text.trim()) ? text : escaped(text)),
    // No picture is loaded from anywhere: its address could carry away what was said.
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    code: ({ text, lang }) =>
      `<pre lang="${escaped(lang?.match(/^\S+/)?.[0] ?? '')}"><code>${escaped(text)}\n</code></pre>`,
  },
})

const allowed = {
  ALLOWED_TAGS: [
    ...['p', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'pre', 'code'],
    ...['strong', 'em', 'del', 'a', 'br', 'hr', 'sub', 'sup', 'kbd', 'mark', 'u'],
    ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
  ],
  ALLOWED_ATTR: ['href', 'title', 'start', 'align', 'lang'],
  // Their values are no addresses, and aren't held to be such.
  ADD_URI_SAFE_ATTR: ['start', 'align', 'lang'],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
  RETURN_DOM_FRAGMENT: true,
} as const

/** Block by block, so that a streamed answer can keep what is finished. */
export function lexMarkdown(text: string): TokensList {
  return marked.lexer(text)
}

/** Safe to show, whatever the model wrote. */
export function renderTokens(tokens: Token[]): DocumentFragment {
  const fragment = sanitise(marked.parser(tokens))
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank'
    link.rel = 'noopener noreferrer nofollow'
  }
  for (const pre of fragment.querySelectorAll('pre')) frameCode(pre)
  for (const table of fragment.querySelectorAll('table')) {
    const frame = el('div', { class: 'table', tabindex: 0, role: 'region', 'aria-label': 'Table' })
    table.replaceWith(frame)
    frame.append(table)
  }
  return fragment
}

/** An excerpt of the search: escaped HTML with `<mark>`. */
export function renderExcerpt(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: ['mark'],
    ALLOWED_ATTR: [],
    RETURN_DOM_FRAGMENT: true,
  })
}

function sanitise(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ...allowed,
    ALLOWED_TAGS: [...allowed.ALLOWED_TAGS],
    ALLOWED_ATTR: [...allowed.ALLOWED_ATTR],
    ADD_URI_SAFE_ATTR: [...allowed.ADD_URI_SAFE_ATTR],
  })
}

function frameCode(pre: HTMLPreElement): void {
  const language = pre.getAttribute('lang') ?? ''
  pre.removeAttribute('lang')
  pre.tabIndex = 0
  const label = language === '' ? 'Code' : language
  pre.setAttribute('aria-label', `Code, ${label}`)
  pre.setAttribute('role', 'region')
  const copy = el('button', { type: 'button', class: 'copy-code', 'aria-label': 'Copy code' })
  copy.append(icon('copy'), el('span', {}, 'Copy'))
  const frame = el(
    'div',
    { class: 'code' },
    el('div', { class: 'code-head' }, el('span', {}, label), copy),
  )
  pre.replaceWith(frame)
  frame.append(pre)
}
