/** Speaks to screen readers: whole sentences and finished blocks, never a token. */
export class Announcer {
  readonly #log: HTMLElement

  constructor(log: HTMLElement) {
    this.#log = log
  }

  say(text: string): void {
    const said = text.trim()
    if (said === '') return
    const line = document.createElement('p')
    line.textContent = said
    this.#log.append(line)
    // What has been read out is of no use to anyone who walks the page later.
    while (this.#log.childElementCount > 20) this.#log.firstElementChild?.remove()
  }

  clear(): void {
    this.#log.replaceChildren()
  }
}
