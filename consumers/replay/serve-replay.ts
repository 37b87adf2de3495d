import type { Database } from '#db/client.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import { type Dependencies, healthResponse, sayReady } from '#runtime/health.ts'
import type { Log } from '#runtime/log.ts'
import { aborted } from '#runtime/shutdown.ts'
import { systemClock } from '../clock.ts'
import { replayApp } from './app.ts'
import { authorizer } from './authorize.ts'
import type { ReplayConfig } from './config.ts'
import { ReplayError } from './replay-error.ts'

export interface ServeReplayParts {
  config: ReplayConfig
  eventLog: EventLog
  database: Database
  /** What else it cannot work without, for its health. */
  dependencies?: Dependencies
  log: Log
  /** Abort it to drain and end. */
  signal: AbortSignal
}

const drainMs = 5_000
const drainLookMs = 20

/** The replay REST API as a process, until the signal. Throws what `Bun.serve` throws when the address is taken. */
export async function serveReplay(parts: ServeReplayParts): Promise<void> {
  const { config, eventLog, database, log, signal } = parts
  const { host, port, nodeId } = config
  const authorize = authorizer(config, Date.now)
  const app = replayApp({ eventLog, database, authorize, log, nodeId })
  const dependencies = { ...parts.dependencies, postgres: () => database.health() }
  const server = Bun.serve({
    hostname: host,
    port,
    reusePort: false,
    async fetch(request, self) {
      const url = new URL(request.url)
      const health = await healthResponse(url, { nodeId, dependencies, signal })
      if (health !== null) return health
      if (!url.pathname.startsWith('/api/replay/')) return notFound()
      // A paced replay may be silent for as long as the original was.
      self.timeout(request, 0)
      return app.fetch(request)
    },
  })
  const told = { url: server.url.href.replace(/\/$/, '') }
  void sayReady(dependencies, { log, told, signal })
  await aborted(signal)
  // New connections are refused; idle ones are no reason to wait.
  void server.stop(false)
  const lateMs = Date.now() + drainMs
  while (server.pendingRequests > 0 && Date.now() < lateMs) await systemClock.sleep(drainLookMs)
  await server.stop(true)
}

function notFound(): Response {
  return Response.json({ error: new ReplayError('not_found', 'no such call') }, { status: 404 })
}
