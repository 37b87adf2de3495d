import { createClient, RESP_TYPES } from 'redis'

export type Client = ReturnType<typeof createClient>
export type CommandOptions = Parameters<Client['sendCommand']>[1]

/** Texts of the reply as their bytes. */
export const inBytes: CommandOptions = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }

/** Hot state is out of reach; whether what was under way has happened is unknown. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

const reconnectMs = { first: 20, most: 500 }

/** Connects again by itself, without end; what is asked meanwhile is refused at once. */
export function newClient(url: string, timeoutMs: number): Client {
  return createClient({
    url,
    disableOfflineQueue: true,
    // One look at the oldest command now and then, instead of a timer for each.
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: timeoutMs,
      reconnectStrategy: (retries) =>
        Math.min(reconnectMs.most, reconnectMs.first * 2 ** Math.min(retries, 10)),
    },
  })
}

/** What is under way is rejected. */
export function discard(client: Client): void {
  if (!client.isOpen) return
  // One that is only about to connect doesn't know its socket yet, and would keep it, and the process, open.
  if (!client.isReady) client.once('connect', () => client.destroy())
  client.destroy()
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}
