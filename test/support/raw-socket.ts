import { connect, type Socket } from 'node:net'
import { opened } from './tracker.ts'

/** A TCP client that speaks just enough HTTP and WebSocket to do what no library lets one do: not read. */
export class RawSocket implements AsyncDisposable {
  readonly socket: Socket
  received = 0
  isOver = false
  readonly #pieces: Buffer[] = []
  #closed = opened('raw socket')

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.length
      this.#pieces.push(bytes)
    })
    socket.on('error', () => {
      // `close` follows.
    })
    socket.on('close', () => {
      this.isOver = true
    })
  }

  static async get(url: string, path: string, headers: Record<string, string> = {}) {
    const { hostname, port, host } = new URL(url)
    const socket = connect(Number(port), hostname)
    const lines = Object.entries({ host, ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
    return new RawSocket(socket)
  }

  static webSocket(url: string, path: string, headers: Record<string, string> = {}) {
    return RawSocket.get(url, path, {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    })
  }

  /** Everything received so far. */
  get text(): string {
    return this.#whole().toString('utf8')
  }

  stopReading(): void {
    this.socket.pause()
  }

  readOn(): void {
    this.socket.resume()
  }

  /** One masked frame, as a client sends it; opcode 1 is text, 2 binary. */
  send(data: string | Uint8Array, opcode = typeof data === 'string' ? 1 : 2): void {
    const payload = Buffer.from(data)
    const size = payload.length
    const head =
      size < 126
        ? [size | 0x80]
        : size < 65_536
          ? [254, size >> 8, size & 255]
          : [255, ...long(size)]
    // A mask of zeros leaves the payload as it is.
    this.socket.write(Buffer.concat([Buffer.from([0x80 | opcode, ...head, 0, 0, 0, 0]), payload]))
  }

  /** The WebSocket frames so far: text ones parsed, a close as its code. */
  frames(): { frames: Record<string, unknown>[]; closeCode: number | null } {
    const frames: Record<string, unknown>[] = []
    const buffer = this.#whole()
    let at = buffer.indexOf('\r\n\r\n') + 4
    while (at + 2 <= buffer.length) {
      const opcode = (buffer[at] ?? 0) & 15
      const short = (buffer[at + 1] ?? 0) & 127
      const head = short === 126 ? 4 : short === 127 ? 10 : 2
      if (at + head > buffer.length) break
      const size =
        short === 126
          ? buffer.readUInt16BE(at + 2)
          : short === 127
            ? Number(buffer.readBigUInt64BE(at + 2))
            : short
      if (at + head + size > buffer.length) break
      const payload = buffer.subarray(at + head, at + head + size)
      if (opcode === 8) return { frames, closeCode: payload.readUInt16BE(0) }
      if (opcode === 1) frames.push(JSON.parse(payload.toString('utf8')) as Record<string, unknown>)
      at += head + size
    }
    return { frames, closeCode: null }
  }

  /** Joined when it is asked for: with each piece it would be quadratic. */
  #whole(): Buffer {
    if (this.#pieces.length > 1) this.#pieces.push(Buffer.concat(this.#pieces.splice(0)))
    return this.#pieces[0] ?? Buffer.alloc(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    this.#closed()
  }
}

function long(size: number): number[] {
  return [0, 0, 0, 0, (size >>> 24) & 255, (size >>> 16) & 255, (size >>> 8) & 255, size & 255]
}
