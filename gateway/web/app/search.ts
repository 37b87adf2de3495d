import { ChatError } from '#client/chat-error.ts'
import type { Found } from './api.ts'
import { shortDate } from './dates.ts'
import { byId, el } from './dom.ts'
import { renderExcerpt } from './markdown.ts'

export interface SearchOptions {
  search(words: string, signal: AbortSignal): Promise<{ results: Found[] }>
  titleOf(sessionId: string): string
  open(sessionId: string, messageId: string): void
}

/** The search field: while there are words in it, results stand in the place of the list of chats. */
export class Search {
  readonly #field = byId('search', HTMLInputElement)
  readonly #results = byId('results', HTMLElement)
  readonly #chats = byId('chats', HTMLElement)
  readonly #note = byId('search-note', HTMLElement)
  readonly #options: SearchOptions
  #timer: ReturnType<typeof setTimeout> | undefined
  #abort = new AbortController()

  constructor(options: SearchOptions) {
    this.#options = options
    this.#field.addEventListener('input', () => {
      clearTimeout(this.#timer)
      this.#abort.abort()
      const words = this.#field.value.trim()
      if (words === '') this.#close()
      else this.#timer = setTimeout(() => this.#search(words), 180)
    })
    this.#field.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown') {
        event.preventDefault()
        this.#links()[0]?.focus()
      } else if (event.key === 'Escape' && this.#field.value !== '') {
        // Esc also stops an answer; here it only empties the field.
        event.stopPropagation()
        this.#field.value = ''
        this.#close()
      }
    })
    this.#results.addEventListener('keydown', (event) => this.#walk(event))
  }

  focus(): void {
    this.#field.focus()
    this.#field.select()
  }

  #links(): HTMLElement[] {
    return [...this.#results.querySelectorAll<HTMLElement>('a')]
  }

  #walk(event: KeyboardEvent): void {
    const links = this.#links()
    const at = links.findIndex((link) => link.matches(':focus'))
    if (event.key === 'ArrowDown') links[at + 1]?.focus()
    else if (event.key === 'ArrowUp') (at <= 0 ? this.#field : links[at - 1])?.focus()
    else return
    event.preventDefault()
  }

  #search(words: string): void {
    this.#abort = new AbortController()
    const { signal } = this.#abort
    this.#options.search(words, signal).then(
      ({ results }) => {
        if (!signal.aborted) this.#show(results)
      },
      (error: unknown) => {
        if (!signal.aborted) this.#say(reasonOf(error), true)
      },
    )
  }

  #show(results: Found[]): void {
    this.#open()
    const now = new Date()
    const items = results.map(({ messageId, sessionId, role, excerpt, createdAt }) => {
      const text = el('span', { class: 'excerpt' })
      text.append(renderExcerpt(excerpt))
      const link = el(
        'a',
        {
          href: `#${sessionId}`,
          onclick: (event: MouseEvent) => {
            event.preventDefault()
            this.#options.open(sessionId, messageId)
          },
        },
        el(
          'span',
          { class: 'result-head' },
          el('span', { class: 'result-title' }, this.#options.titleOf(sessionId)),
          el('time', { datetime: createdAt }, shortDate(createdAt, now)),
        ),
        el('span', { class: 'visually-hidden' }, role === 'user' ? 'You: ' : 'Answer: '),
        text,
      )
      return el('li', {}, link)
    })
    const { length } = results
    const said =
      length === 0 ? 'Nothing found.' : `${length} ${length === 1 ? 'result' : 'results'}`
    this.#say(said, length === 0)
    if (length > 0) {
      const heading = el('h2', {}, said)
      this.#results.replaceChildren(heading, el('ul', { 'aria-label': 'Search results' }, ...items))
    }
  }

  #say(text: string, isShown: boolean): void {
    this.#note.textContent = text
    if (!isShown) return
    this.#open()
    this.#results.replaceChildren(el('p', { class: 'nothing' }, text))
  }

  #open(): void {
    this.#results.hidden = false
    this.#chats.hidden = true
  }

  #close(): void {
    this.#abort.abort()
    this.#results.hidden = true
    this.#chats.hidden = false
    this.#note.textContent = ''
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof ChatError)) return 'The search failed.'
  if (error.code === 'not_found') return 'This server keeps no text to search.'
  return error.code === 'network' ? 'The server cannot be reached.' : error.message
}
