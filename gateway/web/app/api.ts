import { Tokens } from '#client/connection/token.ts'
import { type RestOptions, request } from '#client/rest.ts'

export interface ListedChat {
  sessionId: string
  title: string | null
  createdAt: string
  lastMessageAt: string
}

export interface Found {
  messageId: string
  sessionId: string
  role: 'user' | 'assistant'
  /** Escaped HTML with `<mark>`. */
  excerpt: string
  createdAt: string
}

/** The gateway's REST API, as far as the page needs it beside the chat. Each call rejects with a `ChatError`. */
export class Api {
  #options: RestOptions = {
    base: `${location.origin}/`,
    fetch: (url, init) => fetch(url, init),
    tokens: new Tokens(undefined),
  }
  #token: string | undefined

  /** Kept in memory only; a reload has the cookie. */
  get token(): string | undefined {
    return this.#token
  }

  async login(token: string): Promise<void> {
    const options = { ...this.#options, tokens: new Tokens(token) }
    await request(options, 'api/login', { method: 'POST' })
    this.#token = token
    this.#options = options
  }

  async logout(): Promise<void> {
    await request(this.#options, 'api/logout', { method: 'POST' })
    this.#token = undefined
    this.#options = { ...this.#options, tokens: new Tokens(undefined) }
  }

  chats(before?: string): Promise<{ sessions: ListedChat[]; nextBefore?: string }> {
    const query = new URLSearchParams({ limit: '50', ...(before !== undefined && { before }) })
    return this.#get(`api/sessions?${query}`)
  }

  async rename(sessionId: string, title: string | null): Promise<void> {
    await request(this.#options, `api/sessions/${encodeURIComponent(sessionId)}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ title }),
    })
  }

  async erase(sessionId: string): Promise<void> {
    const path = `api/history/${encodeURIComponent(sessionId)}`
    await request(this.#options, path, { method: 'DELETE' })
  }

  search(words: string, signal: AbortSignal): Promise<{ results: Found[]; count: number }> {
    return this.#get(`api/search?${new URLSearchParams({ q: words, limit: '20' })}`, signal)
  }

  #get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return request(this.#options, path, signal === undefined ? {} : { signal })
  }
}
