import { outboxKeys, recordOfEntry } from './outbox.ts'
import { Routes } from './routes.ts'
import { loadScripts } from './scripts.ts'

/** An event that Kafka refused for good, of which the outbox keeps all. */
export interface RefusedEvent {
  topic: string
  reason: string
  /** When it was put aside, milliseconds since the epoch. */
  atMs: number
}

export interface RefusedOptions {
  url: string
  prefix?: string
  timeoutMs?: number
}

const pageMax = 500

/** Every event that was refused, by shard and in order. Rejects when Redis is out of reach. */
export async function refusedEvents(options: RefusedOptions): Promise<RefusedEvent[]> {
  const { url, prefix = 'sluice:', timeoutMs = 5_000 } = options
  using routes = new Routes({
    ...{ prefix, timeoutMs, scripts: loadScripts() },
    urls: url.split(',').map((each) => each.trim()),
    onUp: () => undefined,
    onOtherLife: () => undefined,
    onMissed: () => undefined,
    onMessage: () => undefined,
  })
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
      const pairs: Record<string, string> = {}
      for (let at = 0; at < fields.length; at += 2) pairs[fields[at] ?? ''] = fields[at + 1] ?? ''
      const { topic } = recordOfEntry(pairs)
      found.push({ topic, reason: pairs['e'] ?? '', atMs: Number(id.split('-')[0]) })
    }
    const last = page.at(-1)
    if (last === undefined || page.length < pageMax) return found
    from = `(${last[0]}`
  }
}
