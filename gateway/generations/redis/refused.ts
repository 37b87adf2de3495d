import { outboxKeys, pairsOf } from './outbox.ts'
import { Routes, type RoutesOptions } from './routes.ts'

/** An event that Kafka refused for good, of which the outbox keeps all. */
export interface RefusedEvent {
  topic: string
  reason: string
  /** When it was put aside, milliseconds since the epoch. */
  atMs: number
}

const pageMax = 500

/** Every event that was refused, by shard and in order. Rejects when Redis is out of reach. */
export async function refusedEvents(
  options: Pick<RoutesOptions, 'url' | 'prefix' | 'timeoutMs'>,
): Promise<RefusedEvent[]> {
  using routes = new Routes({ timeoutMs: 5_000, ...options })
  await routes.known()
  const found = await Promise.all(routes.bases.map((_, shard) => ofShard(routes, shard)))
  return found.flat()
}

async function ofShard(routes: Routes, shard: number): Promise<RefusedEvent[]> {
  const key = outboxKeys.refused(routes.base(shard))
  const found: RefusedEvent[] = []
  for (let from = '-'; ; ) {
    const command = ['XRANGE', key, from, '+', 'COUNT', `${pageMax}`]
    const page = (await routes.command(shard, command)) as [string, string[]][]
    for (const [id, fields] of page) {
      const { t: topic = '', e: reason = '' } = pairsOf(fields)
      found.push({ topic, reason, atMs: Number(id.split('-')[0]) })
    }
    const last = page.at(-1)
    if (last === undefined || page.length < pageMax) return found
    from = `(${last[0]}`
  }
}
