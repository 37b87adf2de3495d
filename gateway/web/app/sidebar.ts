import { byId } from './dom.ts'

/** On a narrow screen the list of chats is a drawer over the page; on a wide one it is just there. */
export class Sidebar {
  readonly #sidebar = byId('sidebar', HTMLElement)
  readonly #backdrop = byId('backdrop', HTMLElement)
  readonly #main = byId('main', HTMLElement)
  readonly #open = byId('open-sidebar', HTMLButtonElement)
  readonly #narrow = matchMedia('(max-width: 760px)')

  constructor() {
    this.#open.addEventListener('click', () => this.open())
    byId('close-sidebar', HTMLButtonElement).addEventListener('click', () => this.close())
    this.#backdrop.addEventListener('click', () => this.close())
    this.#narrow.addEventListener('change', () => this.#set(false))
    this.#set(false)
  }

  get isOpen(): boolean {
    return this.#narrow.matches && this.#sidebar.classList.contains('is-open')
  }

  open(): void {
    this.#set(true)
    this.#sidebar.querySelector<HTMLElement>('button:not([hidden])')?.focus()
  }

  close(): void {
    if (!this.isOpen) return
    this.#set(false)
    this.#open.focus()
  }

  #set(isOpen: boolean): void {
    const isNarrow = this.#narrow.matches
    this.#sidebar.classList.toggle('is-open', isOpen)
    this.#sidebar.inert = isNarrow && !isOpen
    this.#main.inert = isNarrow && isOpen
    this.#backdrop.hidden = !(isNarrow && isOpen)
    this.#open.setAttribute('aria-expanded', String(isOpen))
  }
}
