import type { ClientFrame, ServerFrame } from '../frames.ts'

export type TransportName = 'websocket' | 'sse'

/** How a connection ended: what little each transport tells. */
export interface LinkEnd {
  message: string
  /** Of a WebSocket. */
  closeCode?: number
  /** Of a stream that was refused. */
  status?: number
  retryAfterMs?: number
}

export interface LinkListener {
  frame(frame: ServerFrame): void
  /** Bytes came that are no frame (a comment). */
  alive(): void
  /** Exactly once, unless the link was closed from here. */
  end(end: LinkEnd): void
}

/** One connection. Adapters: `websocket-link.ts`, `sse-link.ts`. */
export interface Link {
  readonly transport: TransportName
  /** False: this link carries no such frame (SSE carries none). */
  send(frame: ClientFrame): boolean
  /** Nothing is told to the listener after this. */
  close(): void
}

/** Null when it is no frame. */
export function parseFrame(data: string): ServerFrame | null {
  try {
    const value: unknown = JSON.parse(data)
    const isFrame = typeof value === 'object' && value !== null && 'type' in value
    return isFrame ? (value as ServerFrame) : null
  } catch {
    // Not JSON: the caller ends the connection.
    return null
  }
}
