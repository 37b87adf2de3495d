import { nowMs } from '../source.ts'
import { type LoadOptions, Seen } from './load.ts'
import { RawSocket } from './raw-socket.ts'

/** One client: its socket, what it has seen, and when that came. */
export class Viewer {
  readonly seen: Seen
  readonly #options: LoadOptions
  readonly #at: number
  readonly #sessionId: string
  readonly #token: (dueMs: number) => void
  #socket: RawSocket | null = null
  /** Called once by the next `live`. */
  #whenLive: (() => void) | null = null
  isLost = false
  /** The end of its answer, once it came. */
  done: { frame: string; atMs: number } | null = null
  /** To connect with. */
  token: string | null = null

  constructor(options: LoadOptions, at: number, sessionId: string, token: (dueMs: number) => void) {
    this.#options = options
    this.#at = at
    this.#sessionId = sessionId
    this.#token = token
    this.seen = new Seen(options)
  }

  /** Resolves with `live`; false when the server closed instead. */
  connect(node = 0): Promise<boolean> {
    const { nodes } = this.#options
    const url = new URL(nodes[(this.#at + node) % nodes.length] ?? '')
    const cursor = this.seen.epoch === '' ? '' : `&cursor=${this.seen.cursor}`
    const path = `/ws/chat?sessionId=${this.#sessionId}${cursor}`
    return new Promise((resolve) => {
      const fail = () => {
        this.isLost = true
        resolve(false)
      }
      const socket = new RawSocket({
        frame: (_socket, text) => this.#take(text),
        closed: fail,
      })
      this.#socket = socket
      this.#whenLive = () => resolve(true)
      socket.connect(url, path, this.token).catch(fail)
    })
  }

  ask(): void {
    this.#socket?.send('{"type":"chat","content":"bench"}')
  }

  /** By a call on the node next to the one that `connect` took. */
  async askElsewhere(node = 0): Promise<void> {
    const { nodes } = this.#options
    const url = new URL('/api/chat', nodes[(this.#at + node + 1) % nodes.length])
    const body = JSON.stringify({ sessionId: this.#sessionId, message: 'bench' })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body })
    if (response.status !== 202) throw new Error(`the question got ${response.status}`)
  }

  cut(): void {
    this.#socket?.cut()
    this.#socket = null
  }

  #take(text: string): void {
    const type = this.seen.take(text, this.#token)
    if (type === 'done') this.done = { frame: text, atMs: nowMs() }
    if (type !== 'live') return
    const whenLive = this.#whenLive
    this.#whenLive = null
    whenLive?.()
  }
}
