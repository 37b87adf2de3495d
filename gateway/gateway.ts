import type { Database } from '#db/client.ts'
import type { Log } from '#runtime/log.ts'
import { createApp, type Routes } from './app.ts'
import { gatewayAuth } from './auth/gateway-auth.ts'
import type { Archive } from './chat/archive.ts'
import { createAsks } from './chat/create-asks.ts'
import { createSessions } from './chat/sessions.ts'
import { createViewers, type ViewersTiming } from './chat/viewers/viewers.ts'
import type { GatewayConfig } from './config.ts'
import type { Generations } from './generations/generations.ts'
import { createHealth, type Dependency } from './health.ts'
import type { Limits } from './limits/limits.ts'
import type { Model } from './models/model.ts'
import { chatStream } from './routes/chat-stream.ts'
import { messageStream } from './routes/message-stream.ts'
import type { ForwardReplay } from './routes/replay.ts'
import { createRoutes } from './routes/routes.ts'
import type { SocketData } from './routes/socket/socket.ts'
import { sseChat } from './routes/sse-chat.ts'
import { chatSocket } from './routes/ws-chat.ts'
import { type Serving, serve } from './serve.ts'
import { createPage } from './web/page.ts'

export interface GatewayParts {
  config: GatewayConfig
  generations: Generations
  archive: Archive
  database: Database
  limits: Limits
  model: Model
  forwardReplay: ForwardReplay
  /** What else this process runs on, for its health. */
  dependencies?: Record<string, () => Promise<Dependency>>
  log: Log
  now?: () => number
  /** For tests that can't wait as long as people. */
  timing?: Partial<ViewersTiming>
}

/** A node that listens. What it was made of is its maker's to dispose, after it. */
export interface Gateway extends AsyncDisposable {
  url: string
  /**
   * Not ready from now on; sends all connections away, ends no running answer before `DRAIN_TIMEOUT_MS`. Still answers
   * calls.
   */
  drain(): Promise<void>
  /** Cuts what is open, at once; without a drain before, running answers are left to a sweep. Idempotent. */
  stop(): Promise<void>
}

/** Throws what `Bun.serve` throws when the address is taken. */
export function createGateway(parts: GatewayParts): Gateway {
  const { config, log } = parts
  const core = coreOf(parts)
  const { viewers, asks, auth, limits } = core
  const page = createPage()
  const socket = chatSocket({ viewers, auth, limits, asks })
  const app = createApp<Bun.Server<SocketData>>({
    ...config,
    routes: routesOf(parts, core),
    direct: { '/ws/chat': socket.upgrade, '/sse/chat': sseChat({ viewers, auth, limits }) },
    page: (request) => page.respond(request),
    log,
  })
  const { host, port } = config
  let serving: Serving
  try {
    serving = serve({ host, port, fetch: app, websocket: socket.websocket, log })
  } catch (error) {
    // Else its sweep would go on for a node that nobody can reach.
    void Promise.resolve(asks[Symbol.asyncDispose]()).catch((cause: unknown) =>
      log.error('what was begun did not end', { error: cause }),
    )
    throw error
  }
  let stopped: Promise<void> | undefined
  const stop = async () => {
    viewers.closeAll()
    await serving.stop()
    await asks[Symbol.asyncDispose]()
  }
  return {
    url: serving.url,
    async drain() {
      await Promise.all([viewers.drain(), asks.drain(config.drainTimeoutMs)])
    },
    stop() {
      stopped ??= stop()
      return stopped
    },
    [Symbol.asyncDispose]() {
      return this.stop()
    },
  }
}

type Core = ReturnType<typeof coreOf>

/** What every transport shares. */
function coreOf(parts: GatewayParts) {
  const { config, generations, archive, limits, model, log, now = Date.now, timing } = parts
  const { nodeId, heartbeatMs } = config
  const sessions = createSessions({ generations, archive, now })
  const chat = { generations, archive, sessions, limits, nodeId, log, now }
  const asks = createAsks({ ...chat, config, model })
  const viewers = createViewers({ ...chat, asks, heartbeatMs, ...(timing && { timing }) })
  return { ...chat, ...gatewayAuth(config.auth, now), asks, viewers }
}

function routesOf(parts: GatewayParts, core: Core): Routes {
  const { config, database, model, dependencies, forwardReplay } = parts
  const { viewers, archive, limits } = core
  return createRoutes({
    ...core,
    database,
    forwardReplay,
    health: createHealth({
      ...core,
      hotStateName: config.servers === null ? 'sqlite' : 'redis',
      database,
      model,
      ...(dependencies && { others: dependencies }),
      isDraining: () => viewers.isDraining,
    }),
    streamAnswer: chatStream({ viewers, archive }),
    streamMessage: messageStream({ viewers, archive, limits }),
    maxContentBytes: config.chat.maxContentBytes,
    isTextKept: config.chat.eventContent === 'full',
    isProxyTrusted: config.isProxyTrusted,
  })
}
