/** Nearer to the end than this counts as being there. */
const nearPx = 64

/** Follows a growing answer while the reader is at its end, and leaves them alone when they scrolled up. */
export class Scroller {
  readonly #box: HTMLElement
  readonly #jump: HTMLElement
  #isFollowing = true

  constructor(box: HTMLElement, column: HTMLElement, jump: HTMLElement) {
    this.#box = box
    this.#jump = jump
    box.addEventListener('scroll', () => this.#moved(), { passive: true })
    jump.addEventListener('click', () => this.toEnd())
    // Also when the phone's keyboard comes up, or a block changes its height.
    const observer = new ResizeObserver(() => this.follow())
    observer.observe(column)
    observer.observe(box)
  }

  follow(): void {
    if (this.#isFollowing) this.#box.scrollTop = this.#box.scrollHeight
    this.#moved()
  }

  toEnd(): void {
    this.#isFollowing = true
    this.follow()
  }

  /** Shows a message in the middle and stays there. */
  reveal(element: HTMLElement): void {
    this.#isFollowing = false
    element.scrollIntoView({ block: 'center' })
    this.#moved()
  }

  /** Does something that adds content above, and keeps what is read where it is. */
  keepPlace(change: () => void): void {
    const fromEnd = this.#box.scrollHeight - this.#box.scrollTop
    this.#isFollowing = false
    change()
    this.#box.scrollTop = this.#box.scrollHeight - fromEnd
  }

  #moved(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#box
    this.#isFollowing = scrollHeight - scrollTop - clientHeight < nearPx
    this.#jump.hidden = this.#isFollowing
  }
}
