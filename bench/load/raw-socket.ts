import type { Socket } from 'bun'

export interface RawHandlers {
  frame(socket: RawSocket, text: string): void
  closed(socket: RawSocket): void
}

/**
 * A WebSocket of a load generator: plain TCP and just the frames that servers send here, for that costs a third of a
 * full client and can be cut by a TCP reset.
 */
export class RawSocket {
  readonly #handlers: RawHandlers
  #socket: Socket<RawSocket> | null = null
  #rest: Buffer | null = null
  #isOpen = false
  /** Free for the caller. */
  tag = 0

  constructor(handlers: RawHandlers) {
    this.#handlers = handlers
  }

  async connect(url: URL, path: string, token: string | null): Promise<void> {
    const request =
      `GET ${path} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
    const authorization = token === null ? '' : `Authorization: Bearer ${token}\r\n`
    this.#socket = await Bun.connect<RawSocket>({
      hostname: url.hostname,
      port: Number(url.port),
      data: this,
      socket: rawHandlers,
    })
    this.#socket.write(`${request}${authorization}\r\n`)
  }

  send(text: string): void {
    const body = Buffer.from(text)
    const head =
      body.length < 126
        ? Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0])
        : Buffer.from([0x81, 0xfe, body.length >> 8, body.length & 255, 0, 0, 0, 0])
    this.#socket?.write(Buffer.concat([head, body]))
  }

  /** Cut as by the network: RST. */
  cut(): void {
    this.#socket?.terminate()
    this.#socket = null
  }

  received(bytes: Buffer): void {
    let data = this.#rest === null ? bytes : Buffer.concat([this.#rest, bytes])
    this.#rest = null
    if (!this.#isOpen) {
      const end = data.indexOf('\r\n\r\n')
      if (end === -1) {
        this.#rest = Buffer.from(data)
        return
      }
      if (!data.subarray(0, 12).equals(switching)) {
        this.cut()
        this.#handlers.closed(this)
        return
      }
      this.#isOpen = true
      data = data.subarray(end + 4)
    }
    this.#frames(data)
  }

  #frames(data: Buffer): void {
    let at = 0
    while (data.length - at >= 2) {
      let length = (data[at + 1] ?? 0) & 127
      let start = at + 2
      if (length === 126) {
        if (data.length - at < 4) break
        length = data.readUInt16BE(at + 2)
        start = at + 4
      } else if (length === 127) {
        if (data.length - at < 10) break
        length = Number(data.readBigUInt64BE(at + 2))
        start = at + 10
      }
      if (data.length < start + length) break
      if (((data[at] ?? 0) & 15) === 1) {
        this.#handlers.frame(this, data.toString('utf8', start, start + length))
      }
      at = start + length
    }
    if (at < data.length) this.#rest = Buffer.from(data.subarray(at))
  }

  ended(): void {
    if (this.#socket === null) return
    this.#socket = null
    this.#handlers.closed(this)
  }
}

const switching = Buffer.from('HTTP/1.1 101')

// One object for all sockets.
const rawHandlers = {
  data(socket: Socket<RawSocket>, bytes: Buffer) {
    socket.data.received(bytes)
  },
  close(socket: Socket<RawSocket>) {
    socket.data.ended()
  },
  error(socket: Socket<RawSocket>) {
    socket.data.ended()
  },
}
