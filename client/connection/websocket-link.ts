import { bearerSubprotocol, subprotocol } from '../frames.ts'
import { type Link, type LinkListener, parseFrame } from './link.ts'

/** What we need of a WebSocket: the global one, or `ws` on an older Node. */
export type WebSocketConstructor = new (
  url: string,
  protocols: string[],
) => {
  readonly readyState: number
  send(data: string): void
  close(code?: number): void
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
  addEventListener(type: 'error', listener: () => void): void
}

const open = 1

export interface WebSocketLinkOptions {
  webSocket: WebSocketConstructor
  /** Absolute, `ws:` or `wss:`. */
  url: string
  token: string | undefined
  listener: LinkListener
}

export function openWebSocket({ webSocket, url, token, listener }: WebSocketLinkOptions): Link {
  const protocols = token === undefined ? [subprotocol] : [subprotocol, bearerSubprotocol + token]
  const socket = new webSocket(url, protocols)
  let isOver = false
  const over = () => {
    const was = isOver
    isOver = true
    return !was
  }
  socket.addEventListener('message', (event) => {
    if (isOver) return
    const frame = parseFrame(String(event.data))
    if (frame !== null) return listener.frame(frame)
    over()
    socket.close()
    listener.end({ message: 'The server sent something that is no frame.' })
  })
  socket.addEventListener('error', () => {
    // `close` follows and tells more; without a listener the `ws` package throws.
  })
  socket.addEventListener('close', ({ code, reason }) => {
    if (over()) listener.end({ closeCode: code, message: reason || `Closed with ${code}.` })
  })
  return {
    transport: 'websocket',
    send(frame) {
      if (socket.readyState === open) socket.send(JSON.stringify(frame))
      return true
    },
    close() {
      if (over()) socket.close(1000)
    },
  }
}
