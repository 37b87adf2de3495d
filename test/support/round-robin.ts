import { connect, createServer, type Socket } from 'node:net'

/** Stands before several nodes and is not sticky. */
export interface RoundRobin {
  readonly port: number
  close(): void
}

const requestLine = /^[A-Z]+ (\S+) HTTP\/1\.1\r\n/

/**
 * Each connection goes to the next node, and so does each further request of a connection that is kept alive: two calls
 * of one client never meet the same node twice in a row. `ports` is asked anew each time, with the path that is wanted.
 */
export function roundRobin(ports: (path: string) => readonly number[], port = 0): RoundRobin {
  const open = new Set<Socket>()
  let turn = 0
  const next = (path: string) => {
    const all = ports(path)
    turn += 1
    return all[turn % all.length] ?? 0
  }
  const server = createServer((client) => {
    open.add(client)
    client.once('close', () => open.delete(client))
    relay(client, next)
  })
  server.listen(port, '127.0.0.1')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close() {
      server.close()
      for (const client of open) client.destroy()
    },
  }
}

function relay(client: Socket, nextPort: (path: string) => number): void {
  let node: Socket | null = null
  let hasAnswered = false
  client.setNoDelay(true)
  const link = (path: string) => {
    const upstream = connect(nextPort(path), '127.0.0.1')
    upstream.setNoDelay(true)
    upstream.on('data', (bytes) => {
      if (node !== upstream) return
      hasAnswered = true
      if (client.write(bytes)) return
      upstream.pause()
      client.once('drain', () => upstream.resume())
    })
    // One that was left for the next node ends by itself.
    upstream.on('error', () => node === upstream && client.destroy())
    upstream.on('end', () => node === upstream && client.end())
    upstream.on('close', () => node === upstream && client.destroy())
    return upstream
  }
  client.on('data', (bytes: Buffer) => {
    const path =
      node === null || hasAnswered
        ? requestLine.exec(bytes.subarray(0, 4_096).toString('latin1'))?.[1]
        : undefined
    if (node === null || path !== undefined) {
      const left = node
      node = link(path ?? '')
      hasAnswered = false
      left?.destroy()
    }
    const upstream = node
    if (upstream.write(bytes)) return
    client.pause()
    upstream.once('drain', () => client.resume())
  })
  client.on('end', () => node?.end())
  client.on('error', () => node?.destroy())
  client.on('close', () => node?.destroy())
}
