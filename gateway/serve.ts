import type { Log } from '#runtime/log.ts'
import type { DirectHandler } from './app.ts'
import { widenBacklog } from './listen-backlog.ts'
import { errorResponse } from './routes/error-response.ts'

export interface ServeOptions<SocketData> {
  host: string
  port: number
  fetch: DirectHandler<Bun.Server<SocketData>>
  websocket: Bun.WebSocketHandler<SocketData>
  log: Log
}

export interface Serving {
  /** Where it listens, without a slash at its end. */
  url: string
  /** Cuts whatever is still open. */
  stop(): Promise<void>
}

// A call that is silent for longer is given up; what streams says something each 15 s.
const idleTimeoutS = 30
// Each call has a limit of its own, far below, that it tells in the contract's words; Bun's answer past this is bare.
const bodyBytesMax = 64 * 1_048_576

/** Throws an error that names the address when it is taken or none of this machine's. */
export function serve<SocketData>(options: ServeOptions<SocketData>): Serving {
  const server = listen(options)
  try {
    widenBacklog(server.port ?? options.port)
  } catch (error) {
    options.log.debug('the backlog stays as Bun makes it', { error })
  }
  return {
    url: server.url.href.replace(/\/$/, ''),
    async stop() {
      await server.stop(true)
    },
  }
}

function listen<SocketData>(options: ServeOptions<SocketData>): Bun.Server<SocketData> {
  const { host, port } = options
  try {
    return Bun.serve<SocketData>({
      hostname: options.host,
      port: options.port,
      idleTimeout: idleTimeoutS,
      maxRequestBodySize: bodyBytesMax,
      development: false,
      // Outside development Bun's default is true: a second process would take half of the connections, unnoticed.
      reusePort: false,
      fetch: (request, self) => options.fetch(request, self),
      error: (error) => errorResponse(error, options.log),
      websocket: options.websocket,
    })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`HOST ${host}, PORT ${port}: ${reason}`, { cause })
  }
}
