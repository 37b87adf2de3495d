import type { ListedChat } from './api.ts'
import { periodOf } from './dates.ts'
import { el } from './dom.ts'
import { icon } from './icons.ts'
import { openMenu } from './menu.ts'

export interface ChatListOptions {
  open(sessionId: string): void
  rename(chat: ListedChat): void
  erase(chat: ListedChat): void
  /** The user has come to the end of the list. */
  more(): void
}

/** One's own chats, newest first, under headings of time. */
export class ChatList {
  readonly #nav: HTMLElement
  readonly #options: ChatListOptions
  #chats: ListedChat[] = []
  #hasMore = false
  #currentId = ''
  #drawn = ''

  constructor(nav: HTMLElement, options: ChatListOptions) {
    this.#nav = nav
    this.#options = options
  }

  get chats(): readonly ListedChat[] {
    return this.#chats
  }

  find(sessionId: string): ListedChat | undefined {
    return this.#chats.find((chat) => chat.sessionId === sessionId)
  }

  show(chats: ListedChat[], hasMore: boolean): void {
    this.#chats = chats
    this.#hasMore = hasMore
    this.#draw()
  }

  setCurrent(sessionId: string): void {
    this.#currentId = sessionId
    this.#draw()
  }

  #draw(): void {
    const now = new Date()
    // Drawn anew only when something is different, so that focus and scroll stay where they are.
    const drawing = JSON.stringify([
      this.#chats,
      this.#hasMore,
      this.#currentId,
      now.toDateString(),
    ])
    if (drawing === this.#drawn) return
    this.#drawn = drawing
    const focused =
      document.activeElement?.closest<HTMLElement>('[data-session]')?.dataset['session']
    const groups = new Map<string, ListedChat[]>()
    for (const chat of this.#chats) {
      const period = periodOf(chat.lastMessageAt, now)
      groups.set(period, [...(groups.get(period) ?? []), chat])
    }
    const sections = [...groups].map(([period, chats]) =>
      el(
        'section',
        {},
        el('h2', {}, period),
        el('ul', {}, ...chats.map((chat) => this.#row(chat))),
      ),
    )
    const more = el(
      'button',
      { type: 'button', class: 'text-button', onclick: this.#options.more },
      'Show more',
    )
    this.#nav.replaceChildren(...sections, ...(this.#hasMore ? [more] : []))
    if (this.#chats.length === 0) {
      this.#nav.append(el('p', { class: 'nothing' }, 'Your chats will be listed here.'))
    }
    if (focused === undefined) return
    this.#nav.querySelector<HTMLElement>(`[data-session="${CSS.escape(focused)}"] a`)?.focus()
  }

  #row(chat: ListedChat): HTMLLIElement {
    const title = titleOf(chat)
    const isCurrent = chat.sessionId === this.#currentId
    const link = el(
      'a',
      {
        href: `#${chat.sessionId}`,
        title,
        ...(isCurrent && { 'aria-current': 'page' }),
        onclick: (event: MouseEvent) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return
          event.preventDefault()
          this.#options.open(chat.sessionId)
        },
      },
      title,
    )
    const button = el('button', {
      type: 'button',
      class: 'icon-button small',
      'aria-label': `Actions for ${title}`,
      'aria-haspopup': 'menu',
      onclick: () =>
        openMenu(button, [
          { label: 'Rename', icon: 'pencil', run: () => this.#options.rename(chat) },
          {
            label: 'Delete',
            icon: 'trash',
            isDangerous: true,
            run: () => this.#options.erase(chat),
          },
        ]),
    })
    button.append(icon('more'))
    return el(
      'li',
      { 'data-session': chat.sessionId, class: isCurrent ? 'is-current' : '' },
      link,
      button,
    )
  }
}

export function titleOf(chat: ListedChat | undefined): string {
  return chat?.title ?? 'Untitled chat'
}

/** The first words of a question, cut at a word. */
export function titleFrom(question: string): string {
  const line = question.replace(/\s+/g, ' ').trim()
  if (line.length <= 60) return line
  const cut = line.slice(0, 60)
  const space = cut.lastIndexOf(' ')
  return `${(space > 30 ? cut.slice(0, space) : cut).replace(/[\ud800-\udbff]$/, '')}…`
}
