import { Hono } from 'hono'
import type { Log } from '#runtime/log.ts'
import { corsHeaders, isOriginAllowed, type OriginConfig, preflight } from './auth/origin.ts'
import { ContractError } from './chat/errors.ts'
import { inRequestSpan } from './request-span.ts'
import { errorResponse } from './routes/error-response.ts'

/** A call on its way: what Hono knows of it that the request itself doesn't say. */
export interface Call {
  request: Request
  /** A part of the path, decoded. */
  param(name: string): string
  /** The connection is never given up for being silent: its answer must close it. */
  keepOpen(): void
}

type Handler = (call: Call) => Response | Promise<Response>
type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

/** Each path with what answers it, by method. */
export type Routes = Record<string, Partial<Record<Method, Handler>>>

/** What is needed of a server here. */
export interface IdleLimit {
  timeout(request: Request, seconds: number): void
}

/** Answers undefined once the request has become a WebSocket. */
export type DirectHandler<Server> = (
  request: Request,
  server: Server,
) => Promise<Response | undefined>

export interface AppDeps<Server extends IdleLimit> extends OriginConfig {
  routes: Routes
  /** Paths that go by Hono: its context would live as long as the connection. */
  direct: Record<string, DirectHandler<Server>>
  /** What has no route: the web page's files; null for all others. */
  page(request: Request): Promise<Response> | null
  log: Log
}

/** The whole HTTP surface. Each refusal and failure, wherever it comes from, ends here as the contract's error body. */
export function createApp<Server extends IdleLimit>(deps: AppDeps<Server>): DirectHandler<Server> {
  const app = honoOf(deps)
  const answer = async (request: Request, server: Server) => {
    const origin = request.headers.get('origin')
    if (origin !== null && request.method === 'OPTIONS') return preflight(request)
    const path = pathOf(request.url)
    const direct = Object.hasOwn(deps.direct, path) ? deps.direct[path] : undefined
    return direct === undefined
      ? await app.fetch(request, { server })
      : await direct(request, server)
  }
  return async (request, server) => {
    const origin = request.headers.get('origin')
    if (!isOriginAllowed(request, deps)) {
      return errorResponse(new ContractError('forbidden', 'The Origin is not allowed.'), deps.log)
    }
    const response = await answer(request, server).catch((error: unknown) =>
      errorResponse(error, deps.log),
    )
    if (response === undefined) return undefined
    response.headers.set('x-content-type-options', 'nosniff')
    // It may have lost its limit of silence for good, and must not stay open when its stream has ended.
    if (isEventStream(response)) response.headers.set('connection', 'close')
    // Whatever is somebody's must not stay with a proxy or a shared browser.
    if (!response.headers.has('cache-control')) response.headers.set('cache-control', 'no-store')
    if (origin !== null) corsHeaders(response.headers, origin)
    return response
  }
}

function honoOf<Server extends IdleLimit>(deps: AppDeps<Server>) {
  const app = new Hono<{ Bindings: { server: Server } }>()
  for (const [path, methods] of Object.entries(deps.routes)) {
    for (const [method, handler] of Object.entries(methods)) {
      const answer = traced(method, path, handler)
      app.on(method, path, ({ req, env }) =>
        answer({
          request: req.raw,
          param: (name) => req.param(name) ?? '',
          keepOpen: () => env.server.timeout(req.raw, 0),
        }),
      )
    }
    const allowed = Object.keys(methods).flatMap((name) =>
      name === 'GET' ? [name, 'HEAD'] : [name],
    )
    app.all(path, (context) => wrongMethod(context.req.raw, allowed.join(', ')))
  }
  app.notFound(async (context) => {
    const page = await deps.page(context.req.raw)
    if (page !== null) return page
    throw new ContractError('not_found', 'There is nothing here.')
  })
  app.onError((error) => errorResponse(error, deps.log))
  return app
}

/** Whoever only asks how we are leaves no trace. */
function traced(method: string, path: string, handler: Handler): Handler {
  if (!path.startsWith('/api/')) return handler
  const name = `${method} ${path}`
  const attributes = { 'http.request.method': method, 'http.route': path }
  return (call) => {
    const traceparent = call.request.headers.get('traceparent')
    return inRequestSpan(
      { name, attributes, traceparent },
      async () => handler(call),
      ({ status }) => ({ 'http.response.status_code': status }),
    )
  }
}

/** The contract has no code for a wrong method: with it there is nothing here. */
function wrongMethod(request: Request, allow: string): Response {
  const headers = { allow }
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers })
  const error = new ContractError('not_found', `${request.method} is not possible here: ${allow}.`)
  return Response.json({ error }, { status: error.status, headers })
}

function isEventStream(response: Response): boolean {
  return response.headers.get('content-type')?.startsWith('text/event-stream') ?? false
}

/** Without the cost of parsing a URL for a path that one comparison decides on. */
function pathOf(url: string): string {
  const from = url.indexOf('/', url.indexOf('//') + 2)
  const query = url.indexOf('?', from)
  return query < 0 ? url.slice(from) : url.slice(from, query)
}
