import { connect, createServer, type Server, type Socket } from 'node:net'
import { opened } from './tracker.ts'

/** A way to a server that can be cut and mended, and that may let no WebSocket pass: bytes go through as they are. */
export class Wire implements AsyncDisposable {
  blocksWebSockets = false
  /** WebSockets that were not let through. */
  blocked = 0
  #isCut = false
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #closed = opened('wire')

  private constructor(server: Server) {
    this.#server = server
  }

  static async to(url: string): Promise<Wire> {
    const { hostname, port } = new URL(url)
    const server = createServer()
    const wire = new Wire(server)
    server.on('connection', (socket) => wire.#connected(socket, { host: hostname, port: +port }))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return wire
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return `http://127.0.0.1:${address.port}`
  }

  /** All that is open breaks, and nothing new gets through until it is mended. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  mend(): void {
    this.#isCut = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await ended
    this.#closed()
  }

  #connected(near: Socket, target: { host: string; port: number }): void {
    if (this.#isCut) {
      near.destroy()
      return
    }
    this.#keep(near)
    near.once('data', (first) => {
      if (this.blocksWebSockets && String(first).startsWith('GET /ws/')) {
        this.blocked += 1
        near.destroy()
        return
      }
      const far = connect(target)
      this.#keep(far)
      far.write(first)
      near.pipe(far).pipe(near)
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
    })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
