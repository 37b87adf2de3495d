import type { ServerFrame } from '#client/frames.ts'
import { atEnd } from './tracker.ts'
import { until } from './until.ts'

export type WireFrame = ServerFrame & { [name: string]: unknown }

export interface WsOptions {
  sessionId?: string
  cursor?: string
  token?: string
  protocols?: string[]
  headers?: Record<string, string>
  /** Instead of, or beside, the parameters that are made from the above. */
  query?: Record<string, string>
}

interface CuttableSocket extends WebSocket {
  terminate(): void
}

/** Bun's takes headers, and can be cut, which the types of the browser's don't know. */
const BunWebSocket = WebSocket as unknown as new (
  url: string,
  options: { protocols?: string[]; headers: Record<string, string> },
) => CuttableSocket

/** A WebSocket as a plain client has it: what came, in order, and how it ended. */
export class WsClient {
  readonly frames: WireFrame[] = []
  readonly socket: CuttableSocket
  closed: { code: number; reason: string } | null = null

  constructor(url: string, options: WsOptions = {}) {
    const { sessionId, cursor, token, protocols, headers, query } = options
    const params = new URLSearchParams(query)
    if (sessionId !== undefined) params.set('sessionId', sessionId)
    if (cursor !== undefined) params.set('cursor', cursor)
    const address = `${url.replace(/^http/, 'ws')}/ws/chat?${params}`
    this.socket = new BunWebSocket(address, {
      ...(protocols && { protocols }),
      headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    })
    this.socket.addEventListener('message', ({ data }) => {
      this.frames.push(JSON.parse(String(data)) as WireFrame)
    })
    this.socket.addEventListener('close', ({ code, reason }) => {
      this.closed = { code, reason }
    })
    this.socket.addEventListener('error', () => {
      // `close` follows.
    })
    atEnd(() => this.cut())
  }

  send(frame: unknown): void {
    this.socket.send(JSON.stringify(frame))
  }

  /** The network goes: no close frame. */
  cut(): void {
    if (this.socket.readyState < WebSocket.CLOSED) this.socket.terminate()
  }

  types(): string[] {
    return this.frames.map((frame) => frame.type)
  }

  all<Type extends ServerFrame['type']>(type: Type) {
    return this.frames.filter((frame) => frame.type === type) as (Extract<
      ServerFrame,
      { type: Type }
    > & { [name: string]: unknown })[]
  }

  /** The n-th frame of a type, once it has come. */
  async frame<Type extends ServerFrame['type']>(type: Type, nth = 0) {
    await until(() => this.all(type).length > nth || this.closed !== null, {
      what: `a frame ${type}`,
    })
    const frame = this.all(type)[nth]
    if (frame === undefined) throw new Error(`${type} never came: closed with ${this.closed?.code}`)
    return frame
  }

  live() {
    return this.frame('live')
  }

  /** The code that it is closed with. */
  async close(): Promise<number> {
    await until(() => this.closed, { what: 'the socket closes' })
    return this.closed?.code ?? 0
  }

  /** Asks, and waits for what comes of it. */
  async ask(content: string, requestId?: string) {
    const before = this.all('accepted').length
    this.send({ type: 'chat', content, ...(requestId !== undefined && { requestId }) })
    return await this.frame('accepted', before)
  }
}
