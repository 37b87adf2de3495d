import type { Health } from '../health.ts'

const headers = { 'cache-control': 'no-store' }

/** `GET /health` and `/health/ready`. */
export function getHealth(health: () => Promise<Health>): () => Promise<Response> {
  return async () => {
    const found = await health()
    return found.status === 'unready'
      ? Response.json(found, { status: 503, headers: { ...headers, 'retry-after': '1' } })
      : Response.json(found, { headers })
  }
}

/** `GET /health/live`: the process answers; a dependency is no reason to restart it. */
export function getLive(nodeId: string): () => Response {
  return () => Response.json({ status: 'ready', nodeId, dependencies: {} }, { headers })
}
