import { connect, createServer, type Socket } from 'node:net'
import { atEnd } from './tracker.ts'

/** A TCP proxy that does to a connection what networks do. */
export interface FaultProxy {
  readonly port: number
  /** Every connection breaks; new ones go through. */
  cut(): void
  /** Nothing more goes either way, and nothing is said of it, until `flow`. */
  stall(): void
  flow(): void
  /** New connections are refused, and the present ones break. */
  refuse(): void
  accept(): void
  /**
   * Every connection breaks for its client, but what it had sent by then, and sends until then, reaches the server `ms`
   * later: a late command is still a command.
   */
  cutLate(ms: number): void
}

interface Pair {
  client: Socket
  server: Socket
  held: Buffer[]
}

export async function faultProxy(targetPort: number): Promise<FaultProxy> {
  const pairs = new Set<Pair>()
  let isStalled = false
  let isRefusing = false
  let isHolding = false

  function drop(pair: Pair): void {
    pairs.delete(pair)
    pair.client.destroy()
    pair.server.destroy()
  }

  const listener = createServer((client) => {
    if (isRefusing) {
      client.destroy()
      return
    }
    const server = connect(targetPort, '127.0.0.1')
    const pair: Pair = { client, server, held: [] }
    pairs.add(pair)
    client.on('data', (bytes: Buffer) => {
      if (isHolding) pair.held.push(bytes)
      else server.write(bytes)
    })
    server.on('data', (bytes) => client.write(bytes))
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on('error', () => drop(pair))
      socket.on('close', () => {
        if (pairs.has(pair)) drop(pair)
      })
    }
    if (isStalled) {
      client.pause()
      server.pause()
    }
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  const cut = () => {
    for (const pair of [...pairs]) drop(pair)
  }
  atEnd(() => {
    cut()
    listener.close()
  })

  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cut,
    stall() {
      isStalled = true
      for (const { client, server } of pairs) {
        client.pause()
        server.pause()
      }
    },
    flow() {
      isStalled = false
      for (const { client, server } of pairs) {
        client.resume()
        server.resume()
      }
    },
    refuse() {
      isRefusing = true
      cut()
    },
    accept() {
      isRefusing = false
    },
    cutLate(ms) {
      isHolding = true
      const late = [...pairs]
      // What the clients are about to send is held too.
      setTimeout(() => {
        isHolding = false
        for (const pair of late) {
          pairs.delete(pair)
          pair.client.destroy()
        }
      }, 5)
      setTimeout(() => {
        for (const { server, held } of late) {
          for (const bytes of held) server.write(bytes)
          server.end()
        }
      }, 5 + ms)
    },
  }
}
