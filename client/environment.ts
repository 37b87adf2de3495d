import type { TransportName } from './connection/link.ts'
import type { WebSocketConstructor } from './connection/websocket-link.ts'

/** Absolute, ends with `/`. */
export function baseUrl(url: string | undefined): string {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin
  const base = url ?? page
  if (base === undefined) throw new TypeError('createChat: `url` is needed outside of a page.')
  const { href } = new URL(base.replace(/^ws/, 'http'), page)
  return href.endsWith('/') ? href : `${href}/`
}

export function globalWebSocket(): WebSocketConstructor | undefined {
  return (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket
}

/** The one transport that is wanted or possible; null: there is a choice. */
export function fixedTransport(
  wanted: 'auto' | TransportName = 'auto',
  webSocket: WebSocketConstructor | undefined,
): TransportName | null {
  if (webSocket === undefined && wanted === 'websocket') {
    throw new TypeError('createChat: there is no WebSocket here; pass `webSocket` or use SSE.')
  }
  if (webSocket === undefined) return 'sse'
  return wanted === 'auto' ? null : wanted
}

/**
 * A UUIDv7: from its time the server sees that a session is new, also when it can't look it up. `crypto.randomUUID` makes
 * none, and is missing on pages over plain http.
 */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  let ms = Date.now()
  for (let at = 5; at >= 0; at -= 1) {
    bytes[at] = ms % 256
    ms = Math.floor(ms / 256)
  }
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
