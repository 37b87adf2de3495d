import { lexMarkdown, renderTokens } from './markdown.ts'

/** Blocks that may still change with the next words: the last, and the one before it that it may belong to. */
const openBlocks = 2
const closingFence = /^ {0,3}(`{3,}|~{3,})[ \t]*$/
const openingFence = /^ {0,3}(`{3,}|~{3,})/

/**
 * Markdown that grows at its end. A finished block is rendered once and never touched again; only the tail is
 * rendered anew, and inside an open code block not even that: its words are appended. So the cost of a token does
 * not grow with the answer.
 */
export class StreamedMarkdown {
  readonly #root: HTMLElement
  readonly #tail = document.createElement('div')
  readonly #onBlock: (text: string) => void
  /** Source that stands in the tail; what came before is finished. */
  #open = ''
  #seen = 0
  #hasDefinitions = false
  /** The text node of the code block that is open at the end, and how much of the source stands in it. */
  #fence: { node: Text; mark: string; shownTo: number } | null = null

  /** `onBlock` hears the plain text of each block as it is finished. */
  constructor(root: HTMLElement, onBlock: (text: string) => void = () => undefined) {
    this.#root = root
    this.#onBlock = onBlock
    this.#tail.className = 'tail'
    root.append(this.#tail)
  }

  /** The whole text so far; `isWhole`: nothing more will come. */
  update(text: string, isWhole: boolean): void {
    if (text.length < this.#seen) this.#reset()
    // A CR at the end may be half of CR LF.
    const end = !isWhole && text.endsWith('\r') ? text.length - 1 : text.length
    this.#open += normalised(text.slice(this.#seen, end))
    this.#seen = end
    if (!isWhole && this.#fence !== null && this.#appendCode(this.#fence)) return
    this.#fence = null
    this.#render(isWhole ? 0 : openBlocks)
    if (!isWhole) return
    this.#tail.remove()
    // `[name]: url` at the end may make a link of a word at the beginning.
    if (this.#hasDefinitions)
      this.#root.replaceChildren(renderTokens(lexMarkdown(normalised(text))))
  }

  #render(keep: number): void {
    const tokens = lexMarkdown(this.#open)
    this.#hasDefinitions ||= Object.keys(tokens.links).length > 0
    const blocks = tokens.flatMap(({ type }, at) => (type === 'space' ? [] : [at]))
    const finished = keep === 0 ? tokens.length : (blocks.at(-keep) ?? 0)
    const done = tokens.slice(0, finished)
    if (done.length > 0) {
      const length = done.reduce((sum, token) => sum + token.raw.length, 0)
      this.#open = this.#open.slice(length)
      const fragment = renderTokens(done)
      const texts = [...fragment.children].map((block) => spoken(block))
      this.#tail.before(fragment)
      for (const text of texts) this.#onBlock(text)
    }
    const rest = tokens.slice(finished)
    this.#tail.replaceChildren(renderTokens(rest))
    const last = rest.at(-1)
    if (last?.type === 'code' && keep > 0) this.#enterFence(last.raw)
  }

  /** If the source ends inside a fenced code block, its words go straight into the text node from now on. */
  #enterFence(raw: string): void {
    const mark = openingFence.exec(raw)?.[1]
    const isClosed = raw
      .split('\n')
      .slice(1)
      .some((line) => closes(line, mark ?? ''))
    const node = this.#tail.querySelector(':scope > .code:last-child code')
    if (mark === undefined || isClosed || node === null || !raw.includes('\n')) return
    const body = raw.slice(raw.indexOf('\n') + 1)
    const text = document.createTextNode('')
    node.replaceChildren(text)
    const shownTo = this.#open.length - body.length
    this.#fence = { node: text, mark, shownTo }
    this.#appendCode(this.#fence)
  }

  /** False when the block is closed: render it as it stands. */
  #appendCode(fence: { node: Text; mark: string; shownTo: number }): boolean {
    const fresh = this.#open.slice(fence.shownTo)
    const lines = fresh.split('\n')
    const partial = lines.pop() ?? ''
    if (lines.some((line) => closes(line, fence.mark))) return false
    if (closes(partial, fence.mark)) return false
    // Whole lines, and of the last line what can't become the fence's end: only the end of a line is looked at.
    const whole = fresh.length - partial.length
    fence.node.appendData(fresh.slice(0, whole))
    fence.shownTo += whole
    this.#showPartial(fence, partial)
    return true
  }

  /** The line that is being written stands in a node of its own, replaced each time. */
  #showPartial(fence: { node: Text }, partial: string): void {
    const next = fence.node.nextSibling
    const shown = /^ {0,3}[`~]*$/.test(partial) ? '' : partial
    if (next instanceof Text) next.data = shown
    else fence.node.after(document.createTextNode(shown))
  }

  #reset(): void {
    this.#root.replaceChildren(this.#tail)
    this.#open = ''
    this.#seen = 0
    this.#fence = null
  }
}

function closes(line: string, mark: string): boolean {
  const found = closingFence.exec(line)?.[1]
  return found !== undefined && mark.startsWith(found.charAt(0)) && found.length >= mark.length
}

/** As the lexer does it, so that its lengths are ours. */
function normalised(text: string): string {
  return text.replace(/\r\n?/g, '\n')
}

function spoken(block: Element): string {
  if (block.classList.contains('code')) return block.querySelector('pre')?.ariaLabel ?? 'Code'
  return block.textContent ?? ''
}
