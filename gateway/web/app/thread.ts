import type { ChatMessage } from '#client/message.ts'
import { AnswerView, QuestionView } from './message-view.ts'

/** Messages in the order they are shown: the answers to one question stand at one place. */
interface Row {
  key: string
  question?: ChatMessage
  answers: ChatMessage[]
}

type View = { is: 'question'; view: QuestionView } | { is: 'answer'; view: AnswerView; id: string }

/** The list of messages. A message that didn't change costs a comparison. */
export class Thread {
  readonly #list: HTMLElement
  readonly #onBlock: (text: string) => void
  readonly #views = new Map<string, View>()
  /** Which of several answers is looked at, by question; the newest when nobody chose. */
  readonly #chosen = new Map<string, string>()
  #messages: readonly ChatMessage[] = []

  constructor(list: HTMLElement, onBlock: (text: string) => void) {
    this.#list = list
    this.#onBlock = onBlock
  }

  show(messages: readonly ChatMessage[]): void {
    const isNewAnswer = (message: ChatMessage) =>
      message.outcome === null &&
      !this.#messages.some(({ messageId }) => messageId === message.messageId)
    // A new answer is looked at, whichever was before.
    for (const message of messages) {
      if (message.role === 'assistant' && isNewAnswer(message)) {
        this.#chosen.delete(message.parentMessageId ?? '')
      }
    }
    this.#messages = messages
    this.#draw()
  }

  /** Another one of the answers to the same question. */
  turn(messageId: string, by: 1 | -1): void {
    const row = rowsOf(this.#messages).find(({ answers }) => has(answers, messageId))
    const at = row?.answers.findIndex((answer) => answer.messageId === messageId) ?? -1
    const next = row?.answers[at + by]
    if (row === undefined || next === undefined) return
    this.#chosen.set(row.key, next.messageId)
    this.#draw()
  }

  /** Shows the message, if it is one of several answers, and answers its element. */
  reveal(messageId: string): HTMLElement | null {
    const row = rowsOf(this.#messages).find(({ answers }) => has(answers, messageId))
    if (row !== undefined) {
      this.#chosen.set(row.key, messageId)
      this.#draw()
    }
    return this.#list.querySelector(`[data-id="${CSS.escape(messageId)}"]`)
  }

  clear(): void {
    this.#views.clear()
    this.#chosen.clear()
    this.#messages = []
    this.#list.replaceChildren()
  }

  #draw(): void {
    const elements: HTMLElement[] = []
    const keys = new Set<string>()
    for (const { key, question, answers } of rowsOf(this.#messages)) {
      if (question !== undefined) {
        const view = this.#question(`q:${question.requestId ?? key}`, keys)
        view.update(question)
        elements.push(view.element)
      }
      const chosen = answers.find(({ messageId }) => messageId === this.#chosen.get(key))
      const answer = chosen ?? answers.at(-1)
      if (answer === undefined) continue
      const view = this.#answer(`a:${key}`, answer.messageId, keys)
      view.update(answer, answers.indexOf(answer) + 1, answers.length)
      elements.push(view.element)
    }
    for (const [key, { view }] of this.#views) {
      if (keys.has(key)) continue
      view.element.remove()
      this.#views.delete(key)
    }
    elements.forEach((element, at) => {
      const there = this.#list.children[at]
      if (there !== element) this.#list.insertBefore(element, there ?? null)
    })
  }

  #question(key: string, keys: Set<string>): QuestionView {
    keys.add(key)
    const known = this.#views.get(key)
    if (known?.is === 'question') return known.view
    const view = new QuestionView()
    this.#views.set(key, { is: 'question', view })
    return view
  }

  #answer(key: string, id: string, keys: Set<string>): AnswerView {
    keys.add(key)
    const known = this.#views.get(key)
    if (known?.is === 'answer' && known.id === id) return known.view
    known?.view.element.remove()
    const view = new AnswerView(this.#onBlock)
    this.#views.set(key, { is: 'answer', view, id })
    return view
  }
}

function rowsOf(messages: readonly ChatMessage[]): Row[] {
  const rows = new Map<string, Row>()
  for (const message of messages) {
    const isAnswer = message.role === 'assistant'
    const key = isAnswer ? (message.parentMessageId ?? message.messageId) : message.messageId
    const row = rows.get(key)
    if (row !== undefined && isAnswer) row.answers.push(message)
    else if (isAnswer) rows.set(key, { key, answers: [message] })
    else rows.set(key, { key, question: message, answers: [] })
  }
  return [...rows.values()]
}

function has(answers: ChatMessage[], messageId: string): boolean {
  return answers.some((answer) => answer.messageId === messageId)
}
