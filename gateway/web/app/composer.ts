import { byId } from './dom.ts'

export interface ComposerOptions {
  send(text: string): void
  stop(): void
}

/** The message field with Send and Stop. Keeps a draft per chat for as long as the tab lives. */
export class Composer {
  readonly #field = byId('question', HTMLTextAreaElement)
  readonly #send = byId('send', HTMLButtonElement)
  readonly #stop = byId('stop', HTMLButtonElement)
  readonly #options: ComposerOptions
  #sessionId = ''
  #isBusy = false

  constructor(options: ComposerOptions) {
    this.#options = options
    byId('composer', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      this.#submit()
    })
    this.#field.addEventListener('input', () => this.#changed())
    this.#field.addEventListener('keydown', (event) => {
      // On a phone Enter is a new line; while an input method composes it belongs to that.
      const isSend = event.key === 'Enter' && !event.shiftKey && !event.isComposing && !isTouch()
      if (!isSend) return
      event.preventDefault()
      this.#submit()
    })
    this.#stop.addEventListener('click', () => options.stop())
  }

  /** The draft of another chat comes, that of the former is kept. */
  open(sessionId: string): void {
    this.#sessionId = sessionId
    this.#field.value = sessionStorage.getItem(this.#draftKey) ?? ''
    this.#changed()
  }

  /** An answer is being made: Stop in the place of Send. */
  setBusy(isBusy: boolean): void {
    if (isBusy === this.#isBusy) return
    this.#isBusy = isBusy
    const hadFocus = document.activeElement === this.#stop || document.activeElement === this.#send
    this.#send.hidden = isBusy
    this.#stop.hidden = !isBusy
    // The button that had the focus is gone.
    if (hadFocus) this.#field.focus()
    this.#changed()
  }

  focus(): void {
    this.#field.focus()
  }

  /** Not on a phone, where it would bring up the keyboard. */
  focusIfHandy(): void {
    if (!isTouch()) this.#field.focus({ preventScroll: true })
  }

  fill(text: string): void {
    this.#field.value = text
    this.#changed()
    this.focus()
  }

  get #draftKey(): string {
    return `draft:${this.#sessionId}`
  }

  #submit(): void {
    const text = this.#field.value
    if (text.trim() === '' || this.#isBusy) return
    this.#field.value = ''
    this.#changed()
    this.#options.send(text)
  }

  #changed(): void {
    const { value } = this.#field
    if (value === '') sessionStorage.removeItem(this.#draftKey)
    else sessionStorage.setItem(this.#draftKey, value)
    this.#send.disabled = value.trim() === ''
    // Grows with its text; the limit is in the stylesheet.
    this.#field.style.height = 'auto'
    this.#field.style.height = `${this.#field.scrollHeight}px`
  }
}

export function isTouch(): boolean {
  return matchMedia('(pointer: coarse) and (hover: none)').matches
}
