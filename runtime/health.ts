import type { Log } from './log.ts'
import { sleep } from './sleep.ts'

export interface DependencyHealth {
  state: 'up' | 'down'
  /** With `up`: it works, and somebody should look at it. */
  reason?: string
}

export type Dependencies = Record<string, () => Promise<DependencyHealth>>

export interface HealthOptions {
  nodeId: string
  dependencies: Dependencies
  /** Aborted: it drains, and no work should be sent here. */
  signal: AbortSignal
}

const headers = { 'cache-control': 'no-store' }
const patienceMs = 2_500
const readyEveryMs = 100

/**
 * `GET /health`, `/health/ready` (503 unless all dependencies are up) and `/health/live` (the process answers); null for
 * any other path.
 */
export async function healthResponse(
  { pathname }: URL,
  { nodeId, dependencies, signal }: HealthOptions,
): Promise<Response | null> {
  if (pathname === '/health/live') {
    return Response.json({ status: 'ready', nodeId, dependencies: {} }, { headers })
  }
  if (pathname !== '/health' && pathname !== '/health/ready') return null
  const found = Object.fromEntries(
    await Promise.all(
      Object.entries(dependencies).map(async ([name, ask]) => [name, await within(ask)] as const),
    ),
  )
  const isUp = !signal.aborted && Object.values(found).every(({ state }) => state === 'up')
  const isDegraded = Object.values(found).some(({ reason }) => reason !== undefined)
  const status = isUp ? (isDegraded ? 'degraded' : 'ready') : 'unready'
  const body = { status, nodeId, dependencies: found }
  return isUp
    ? Response.json(body, { headers })
    : Response.json(body, { status: 503, headers: { ...headers, 'retry-after': '1' } })
}

/** Writes the line that says so once all dependencies are up; until the signal. */
export async function sayReady(
  dependencies: Dependencies,
  { log, told, signal }: { log: Log; told: Record<string, string>; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    const found = await Promise.all(Object.values(dependencies).map(within))
    if (found.every(({ state }) => state === 'up')) {
      log.info('ready', told)
      return
    }
    await sleep(readyEveryMs, signal)
  }
}

export interface Listening extends AsyncDisposable {
  /** Without a slash at its end. */
  url: string
}

/** Serves health alone. Throws what `Bun.serve` throws when the address is taken. */
export function serveHealth(host: string, port: number, options: HealthOptions): Listening {
  const server = Bun.serve({
    hostname: host,
    port,
    reusePort: false,
    fetch: async (request) =>
      (await healthResponse(new URL(request.url), options)) ?? new Response(null, { status: 404 }),
  })
  return {
    url: server.url.href.replace(/\/$/, ''),
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}

/** Never rejects, never takes long. */
async function within(ask: () => Promise<DependencyHealth>): Promise<DependencyHealth> {
  const late = Promise.withResolvers<DependencyHealth>()
  const timer = setTimeout(
    () => late.resolve({ state: 'down', reason: `no answer within ${patienceMs} ms` }),
    patienceMs,
  )
  try {
    return await Promise.race([ask(), late.promise])
  } catch (error) {
    return { state: 'down', reason: error instanceof Error ? error.message : String(error) }
  } finally {
    clearTimeout(timer)
  }
}
