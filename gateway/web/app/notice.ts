import type { ChatSnapshot } from '#client/chat.ts'
import { el } from './dom.ts'

/** A short break is not worth a word. */
const patienceMs = 1200
const passingMs = 7000

export interface NoticeOptions {
  reconnect(): void
  signIn(): void
  /** Opens the chat anew after it was closed for good. */
  reopen(): void
}

/** One line above the message field: how the connection stands, or what went wrong. */
export class Notice {
  readonly #line: HTMLElement
  readonly #options: NoticeOptions
  #shown = ''
  #timer: ReturnType<typeof setTimeout> | undefined
  #passing = ''

  constructor(line: HTMLElement, options: NoticeOptions) {
    this.#line = line
    this.#options = options
  }

  show(snapshot: ChatSnapshot): void {
    const { state, reason } = snapshot
    const key = `${state}:${reason?.message ?? ''}`
    if (key === this.#shown) return
    this.#shown = key
    clearTimeout(this.#timer)
    if (state === 'open') this.#set()
    else if (state === 'closed') this.#closed(snapshot)
    else if (state === 'offline') {
      this.#set('You are offline. The chat goes on as soon as the network is back.')
    } else {
      const text = state === 'connecting' ? 'Connecting …' : 'Connection lost. Reconnecting …'
      const retry = button('Try now', this.#options.reconnect)
      this.#timer = setTimeout(() => this.#set(text, retry), patienceMs)
    }
  }

  /** Goes away by itself. */
  pass(text: string): void {
    this.#set(text)
    this.#passing = text
    setTimeout(() => {
      if (this.#passing === text && this.#line.textContent === text) this.#set()
    }, passingMs)
  }

  #closed({ reason }: ChatSnapshot): void {
    const { reopen, signIn } = this.#options
    if (reason?.code === 'closed') this.#set()
    else if (reason?.code === 'not_authenticated') {
      this.#set('You are signed out.', button('Sign in', signIn))
    } else if (reason?.code === 'forbidden') {
      this.#set('This chat belongs to someone else.')
    } else this.#set(reason?.message ?? 'The connection was closed.', button('Try again', reopen))
  }

  #set(text = '', action?: HTMLElement): void {
    this.#line.replaceChildren(...(text === '' ? [] : [text]), ...(action ? [' ', action] : []))
  }
}

function button(label: string, onclick: () => void): HTMLButtonElement {
  return el('button', { type: 'button', class: 'text-button', onclick }, label)
}
