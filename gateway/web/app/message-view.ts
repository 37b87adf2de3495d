import type { MessagePart, Outcome } from '#client/frames.ts'
import type { ChatMessage } from '#client/message.ts'
import { el } from './dom.ts'
import { type IconName, icon } from './icons.ts'
import { StreamedMarkdown } from './streamed-markdown.ts'

/** What the buttons of a message do; the id is the message's. */
export type MessageAction = 'copy' | 'redo' | 'previous' | 'next' | 'resend' | 'discard'

const statusWords: Record<string, string> = {
  queued: 'Waiting for its turn',
  thinking: 'Thinking',
  streaming: '',
  stalled: 'The model has gone quiet. Still waiting',
  tool: 'Using a tool',
}

const outcomeWords: Record<Outcome, string> = {
  completed: '',
  cancelled: 'Stopped.',
  failed: 'The model could not finish this answer.',
  interrupted: 'The answer was interrupted. What had arrived is kept.',
}

/** One of the parts of an answer that can be shown, growing at its end. */
interface PartView {
  element: HTMLElement
  update(part: MessagePart, isWhole: boolean): void
}

/** A question as it was typed, with what became of it. */
export class QuestionView {
  readonly element: HTMLLIElement
  readonly #body = el('div', { class: 'bubble' })
  readonly #foot = el('div', { class: 'foot', hidden: true })
  #shown: ChatMessage | null = null

  constructor() {
    this.element = el(
      'li',
      { class: 'message question' },
      el('h2', { class: 'visually-hidden' }, 'You'),
      this.#body,
      this.#foot,
    )
  }

  update(message: ChatMessage): void {
    if (message === this.#shown) return
    this.#shown = message
    this.element.dataset['id'] = message.messageId
    this.element.dataset['status'] = message.status ?? ''
    if (this.#body.textContent !== message.content) this.#body.textContent = message.content
    const isUnsent = message.status === 'unsent'
    this.#foot.hidden = !isUnsent
    if (!isUnsent) return
    this.#foot.replaceChildren(
      el('p', { class: 'failure', role: 'alert' }, `Not sent. ${message.error?.message ?? ''}`),
      textButton('resend', 'Send again'),
      textButton('discard', 'Discard'),
    )
  }
}

/** An answer: its parts as they grow, how it stands, and what can be done with it. */
export class AnswerView {
  readonly element: HTMLLIElement
  readonly #parts: PartView[] = []
  readonly #body = el('div', { class: 'answer-body' })
  readonly #status = el('p', { class: 'status' })
  readonly #ended = el('p', { class: 'ended', hidden: true })
  readonly #foot = el('div', { class: 'foot', hidden: true })
  readonly #count = el('span', { class: 'count' })
  readonly #onBlock: (text: string) => void
  #shown: ChatMessage | null = null
  #place = ''
  #isLive = false

  /** `onBlock` hears each block of an answer that is being made as it is finished. */
  constructor(onBlock: (text: string) => void) {
    this.#onBlock = (text) => {
      if (this.#isLive) onBlock(text)
    }
    this.element = el(
      'li',
      { class: 'message answer' },
      el('h2', { class: 'visually-hidden' }, 'Answer'),
      this.#body,
      this.#status,
      this.#ended,
      this.#foot,
    )
  }

  /** `at` of `of` answers to the same question. */
  update(message: ChatMessage, at: number, of: number): void {
    const place = `${at}/${of}`
    if (message === this.#shown && place === this.#place) return
    const isOver = message.outcome !== null
    if (!isOver) this.#isLive = true
    this.element.dataset['id'] = message.messageId
    this.element.dataset['outcome'] = message.outcome ?? ''
    if (message !== this.#shown) this.#updateParts(message.parts, isOver)
    this.#updateStatus(message)
    this.#shown = message
    this.#place = place
    this.#foot.hidden = !isOver
    if (isOver) this.#updateFoot(message, at, of)
  }

  #updateParts(parts: readonly MessagePart[], isOver: boolean): void {
    parts.forEach((part, at) => {
      const view = this.#parts[at] ?? this.#addPart(part.kind)
      // Only the last one grows.
      const isWhole = isOver || at < parts.length - 1
      const before = this.#shown?.parts[at]
      const wasWhole = this.#shown !== null && at < this.#shown.parts.length - 1
      if (before !== part || isWhole !== wasWhole || isOver) view.update(part, isWhole)
    })
  }

  #addPart(kind: string): PartView {
    const view =
      kind === 'text' ? textPart(this.#onBlock) : kind === 'reasoning' ? thinkingPart() : nothing()
    this.#parts.push(view)
    this.#body.append(view.element)
    return view
  }

  #updateStatus({ status, outcome, content, error }: ChatMessage): void {
    const word = outcome === null ? (statusWords[status ?? ''] ?? '') : ''
    const waits = outcome === null && (word !== '' || content === '')
    this.element.classList.toggle('is-streaming', outcome === null && !waits)
    this.#status.hidden = !waits
    const said = word === '' ? 'Thinking' : word
    if (waits && this.#status.textContent !== said) this.#status.textContent = said
    const ended = outcome === null ? '' : outcomeWords[outcome]
    const why = error?.message ?? ''
    this.#ended.hidden = ended === ''
    this.#ended.textContent = why === '' || outcome === 'cancelled' ? ended : `${ended} ${why}`
    this.#ended.classList.toggle('failure', outcome === 'failed' || outcome === 'interrupted')
  }

  #updateFoot({ content }: ChatMessage, at: number, of: number): void {
    this.#count.textContent = `${at} of ${of}`
    this.#foot.replaceChildren(
      ...(of > 1
        ? [
            iconButton('previous', 'left', 'Previous answer', at === 1),
            this.#count,
            iconButton('next', 'right', 'Next answer', at === of),
          ]
        : []),
      ...(content === '' ? [] : [iconButton('copy', 'copy', 'Copy the answer')]),
      iconButton('redo', 'redo', 'Answer again'),
    )
  }
}

function textPart(onBlock: (text: string) => void): PartView {
  const element = el('div', { class: 'prose' })
  const markdown = new StreamedMarkdown(element, onBlock)
  return { element, update: (part, isWhole) => markdown.update(part.text ?? '', isWhole) }
}

function thinkingPart(): PartView {
  const text = document.createTextNode('')
  const summary = el('summary', {}, 'Thinking')
  const element = el('details', { class: 'thinking' }, summary, el('div', {}, text))
  return {
    element,
    update(part, isWhole) {
      const whole = part.text ?? ''
      if (whole.length < text.length) text.data = whole
      else text.appendData(whole.slice(text.length))
      const word = isWhole ? 'Thoughts' : 'Thinking'
      if (summary.textContent !== word) summary.textContent = word
      element.classList.toggle('is-active', !isWhole)
    },
  }
}

/** A kind that this page doesn't know takes its place and shows nothing. */
function nothing(): PartView {
  return { element: el('div', { hidden: true }), update: () => undefined }
}

function iconButton(
  action: MessageAction,
  name: IconName,
  label: string,
  isDisabled = false,
): HTMLButtonElement {
  const button = el('button', {
    type: 'button',
    class: 'icon-button small',
    'data-action': action,
    'aria-label': label,
    title: label,
    disabled: isDisabled,
  })
  button.append(icon(name))
  return button
}

function textButton(action: MessageAction, label: string): HTMLButtonElement {
  return el('button', { type: 'button', class: 'text-button', 'data-action': action }, label)
}
