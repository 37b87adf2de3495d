import type { Api, ListedChat } from './api.ts'

/** Other tabs of this browser hear that the list changed. */
const channelName = 'sluice-chats'

export interface ChatsOptions {
  api: Api
  changed(): void
  failed(error: unknown): void
}

/**
 * One's own chats. The server's list is made from the event log and may be a moment behind: what happened here is
 * shown at once and gives way to what the server says.
 */
export class Chats {
  readonly #options: ChatsOptions
  readonly #channel = new BroadcastChannel(channelName)
  #listed: ListedChat[] = []
  #nextBefore: string | undefined
  readonly #local = new Map<string, ListedChat>()
  readonly #erased = new Set<string>()
  #later: ReturnType<typeof setTimeout> | undefined

  constructor(options: ChatsOptions) {
    this.#options = options
    this.#channel.addEventListener('message', () => this.refresh())
  }

  get hasMore(): boolean {
    return this.#nextBefore !== undefined
  }

  /** As the server has it; undefined while it doesn't know the chat. */
  listed(sessionId: string): ListedChat | undefined {
    return this.#listed.find((chat) => chat.sessionId === sessionId)
  }

  list(): ListedChat[] {
    const all = new Map(this.#listed.map((chat) => [chat.sessionId, chat]))
    for (const [sessionId, local] of this.#local) {
      const listed = all.get(sessionId)
      const lastMessageAt =
        listed !== undefined && listed.lastMessageAt > local.lastMessageAt
          ? listed.lastMessageAt
          : local.lastMessageAt
      all.set(sessionId, {
        ...local,
        ...listed,
        title: listed?.title ?? local.title,
        lastMessageAt,
      })
    }
    return [...all.values()]
      .filter(({ sessionId }) => !this.#erased.has(sessionId))
      .sort((a, b) => b.lastMessageAt.localeCompare(a.lastMessageAt))
  }

  /** Something was said in this chat just now. */
  touch(sessionId: string, title: string): void {
    const now = new Date().toISOString()
    const known = this.#local.get(sessionId)
    const createdAt = known?.createdAt ?? now
    this.#local.set(sessionId, {
      sessionId,
      title: known?.title ?? title,
      createdAt,
      lastMessageAt: now,
    })
    this.#erased.delete(sessionId)
    this.#options.changed()
    this.refreshSoon()
  }

  async rename(sessionId: string, title: string): Promise<void> {
    await this.#options.api.rename(sessionId, title)
    const rename = (chat: ListedChat) => (chat.sessionId === sessionId ? { ...chat, title } : chat)
    this.#listed = this.#listed.map(rename)
    const local = this.#local.get(sessionId)
    if (local !== undefined) this.#local.set(sessionId, { ...local, title })
    this.#changedHere()
  }

  async erase(sessionId: string): Promise<void> {
    await this.#options.api.erase(sessionId)
    this.#local.delete(sessionId)
    this.#erased.add(sessionId)
    this.#changedHere()
  }

  refresh(): void {
    this.#options.api.chats().then(
      ({ sessions, nextBefore }) => {
        this.#listed = sessions
        this.#nextBefore = nextBefore
        this.#options.changed()
      },
      (error: unknown) => this.#options.failed(error),
    )
  }

  /** Once the projection has had its moment; many wishes are one call. */
  refreshSoon(): void {
    clearTimeout(this.#later)
    this.#later = setTimeout(() => {
      this.refresh()
      this.#channel.postMessage('changed')
    }, 1200)
  }

  more(): void {
    const before = this.#nextBefore
    if (before === undefined) return
    this.#options.api.chats(before).then(
      ({ sessions, nextBefore }) => {
        const known = new Set(this.#listed.map(({ sessionId }) => sessionId))
        this.#listed = [
          ...this.#listed,
          ...sessions.filter(({ sessionId }) => !known.has(sessionId)),
        ]
        this.#nextBefore = nextBefore
        this.#options.changed()
      },
      (error: unknown) => this.#options.failed(error),
    )
  }

  #changedHere(): void {
    this.#options.changed()
    this.#channel.postMessage('changed')
  }
}
