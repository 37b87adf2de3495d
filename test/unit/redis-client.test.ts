import { expect, test } from 'bun:test'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { discard, newClient } from '#gateway/generations/redis/client.ts'

test('a client that is discarded while it connects leaves no connection open', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const connected = once(server, 'connection') as Promise<[Socket]>
  const client = newClient(`redis://127.0.0.1:${address.port}`, 1_500)
  client.on('error', () => undefined)
  const connecting = client.connect().then(
    () => 'connected',
    () => 'given up',
  )
  discard(client)
  const [socket] = await connected
  socket.on('error', () => undefined).resume()
  if (!socket.closed) await once(socket, 'close')
  expect(await connecting).toBe('given up')
  server.close()
})
