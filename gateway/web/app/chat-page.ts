import type { Chat, ChatEvent, ChatSnapshot } from '#client/chat.ts'
import { createChat } from '#client/client.ts'
import { Announcer } from './announcer.ts'
import { copyFrom } from './clipboard.ts'
import { Composer } from './composer.ts'
import { byId } from './dom.ts'
import type { MessageAction } from './message-view.ts'
import { Notice } from './notice.ts'
import { Scroller } from './scroller.ts'
import { Thread } from './thread.ts'

export interface ChatPageOptions {
  token(): string | undefined
  signIn(): void
  /** A question went out from here. */
  asked(sessionId: string, question: string): void
  /** An answer ended, made here or in another tab. */
  answered(sessionId: string): void
  drawn(snapshot: ChatSnapshot): void
}

/** Older pages that are looked through for a message that was found by the search. */
const pagesMax = 40

/** The open chat on the page: what it says is drawn, what the user does is done. */
export class ChatPage {
  readonly #options: ChatPageOptions
  readonly #box = byId('scroll', HTMLElement)
  readonly #older = byId('older', HTMLButtonElement)
  readonly #list = byId('thread', HTMLElement)
  readonly #announcer = new Announcer(byId('announcer', HTMLElement))
  readonly #composer: Composer
  readonly #thread: Thread
  readonly #scroller: Scroller
  readonly #notice: Notice
  #chat: Chat | null = null
  /** To be read out after the last blocks of their answers. */
  readonly #ends: string[] = []
  #isScheduled = false
  #restMs = 0

  constructor(options: ChatPageOptions) {
    this.#options = options
    const column = byId('thread', HTMLElement)
    this.#scroller = new Scroller(this.#box, column, byId('jump', HTMLElement))
    this.#thread = new Thread(this.#list, (text) => this.#announcer.say(text))
    this.#composer = new Composer({ send: (text) => this.ask(text), stop: () => this.stop() })
    this.#notice = new Notice(byId('notice', HTMLElement), {
      reconnect: () => this.#chat?.reconnect(),
      signIn: options.signIn,
      reopen: () => this.reopen(),
    })
    this.#older.addEventListener('click', () => void this.#loadOlder())
    this.#list.addEventListener('click', (event) => this.#clicked(event))
  }

  get composer(): Composer {
    return this.#composer
  }

  get sessionId(): string | null {
    return this.#chat?.sessionId ?? null
  }

  open(sessionId: string): void {
    this.#chat?.close()
    this.#thread.clear()
    this.#announcer.clear()
    this.#ends.length = 0
    const token = this.#options.token()
    const chat = createChat({ sessionId, ...(token !== undefined && { token }) })
    this.#chat = chat
    chat.subscribe((event) => {
      if (chat === this.#chat) this.#heard(event)
    })
    this.#composer.open(sessionId)
    this.#scroller.toEnd()
    this.#draw()
  }

  /** The same chat on a new connection, say after signing in. */
  reopen(): void {
    if (this.#chat !== null) this.open(this.#chat.sessionId)
  }

  ask(text: string): void {
    const chat = this.#chat
    if (chat === null) return
    this.#options.asked(chat.sessionId, text)
    // A refusal is shown at the question itself.
    chat.send(text).catch(() => this.#schedule())
    this.#scroller.toEnd()
  }

  stop(): boolean {
    const chat = this.#chat
    const { activeId, isSending } = chat?.snapshot() ?? {}
    if (!chat || (activeId === null && !isSending)) return false
    chat.stop().catch((error: Error) => this.#notice.pass(`Not stopped: ${error.message}`))
    return true
  }

  /** Shows one message of this chat, wherever in its history it stands. */
  async reveal(messageId: string): Promise<void> {
    const chat = this.#chat
    if (chat === null) return
    await loaded(chat)
    const has = () => chat.snapshot().messages.some((message) => message.messageId === messageId)
    for (let page = 0; page < pagesMax && !has() && chat.snapshot().hasOlder; page++) {
      await chat.loadOlder()
    }
    if (chat !== this.#chat) return
    this.#draw()
    const element = this.#thread.reveal(messageId)
    if (element === null) {
      this.#notice.pass('That message is not there any more.')
      return
    }
    this.#scroller.reveal(element)
    element.tabIndex = -1
    element.focus({ preventScroll: true })
    element.classList.add('is-found')
    setTimeout(() => element.classList.remove('is-found'), 2000)
  }

  say(text: string): void {
    this.#notice.pass(text)
  }

  #heard(event: ChatEvent): void {
    if (event.type === 'error') this.#notice.pass(event.error.message)
    else if (event.type === 'done') {
      const { outcome, error } = event.message
      this.#ends.push(
        outcome === 'completed'
          ? 'End of the answer.'
          : `Answer ${outcome}. ${error?.message ?? ''}`,
      )
      this.#schedule()
      if (this.#chat !== null) this.#options.answered(this.#chat.sessionId)
    } else this.#schedule()
  }

  /** Once a frame at most; after a costly one there is a rest, so that the page stays responsive. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    const draw = () => {
      this.#isScheduled = false
      const from = performance.now()
      this.#draw()
      this.#restMs = (performance.now() - from) * 3
    }
    // A hidden tab has no frames.
    if (document.hidden) setTimeout(draw, 250)
    else if (this.#restMs < 16) requestAnimationFrame(draw)
    else setTimeout(draw, this.#restMs)
  }

  #draw(): void {
    const snapshot = this.#chat?.snapshot()
    if (snapshot === undefined) return
    this.#thread.show(snapshot.messages)
    for (const end of this.#ends.splice(0)) this.#announcer.say(end)
    this.#composer.setBusy(snapshot.activeId !== null || snapshot.isSending)
    this.#older.hidden = !snapshot.hasOlder
    this.#list.setAttribute('aria-busy', String(snapshot.activeId !== null))
    this.#notice.show(snapshot)
    this.#scroller.follow()
    this.#options.drawn(snapshot)
  }

  async #loadOlder(): Promise<void> {
    const chat = this.#chat
    if (chat === null) return
    this.#older.disabled = true
    try {
      await chat.loadOlder()
      if (chat === this.#chat) this.#scroller.keepPlace(() => this.#draw())
    } catch (error) {
      this.#notice.pass(
        error instanceof Error ? error.message : 'Older messages could not be loaded.',
      )
    } finally {
      this.#older.disabled = false
    }
  }

  #clicked(event: MouseEvent): void {
    const button = event.target instanceof Element ? event.target.closest('button') : null
    if (button === null) return
    if (button.classList.contains('copy-code')) {
      const code = button.closest('.code')?.querySelector('code')?.textContent ?? ''
      void copyFrom(button, code.replace(/\n$/, ''))
      return
    }
    const id = button.closest<HTMLElement>('[data-id]')?.dataset['id']
    const action = button.dataset['action'] as MessageAction | undefined
    if (id !== undefined && action !== undefined) this.#act(action, id, button)
  }

  #act(action: MessageAction, id: string, button: HTMLButtonElement): void {
    const chat = this.#chat
    if (chat === null) return
    const failed = (error: Error) => this.#notice.pass(error.message)
    if (action === 'copy') {
      const message = chat.snapshot().messages.find(({ messageId }) => messageId === id)
      void copyFrom(button, message?.content ?? '')
    } else if (action === 'redo') {
      chat.send('', { regenerate: id }).catch(failed)
      this.#composer.focusIfHandy()
    } else if (action === 'resend') {
      // A new refusal is shown at the question.
      chat.retry(id).catch(() => this.#schedule())
    } else if (action === 'discard') chat.discard(id)
    else {
      const row = button.closest('li')
      const at = row === null ? -1 : [...this.#list.children].indexOf(row)
      this.#thread.turn(id, action === 'next' ? 1 : -1)
      const buttons = this.#list.children[at]?.querySelectorAll<HTMLButtonElement>('[data-action]')
      const same = [...(buttons ?? [])].filter((other) => !other.disabled)
      ;(same.find((other) => other.dataset['action'] === action) ?? same[0])?.focus()
    }
  }
}

function loaded(chat: Chat): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      const { isLoaded, state } = chat.snapshot()
      if (!isLoaded && state !== 'closed') return
      forget()
      resolve()
    }
    const forget = chat.subscribe(look)
    look()
  })
}
