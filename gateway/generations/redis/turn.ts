import { groupsOf } from './groups.ts'
import { type Hot, inThisLife, keysOf } from './hot.ts'
import type { ScriptName } from './scripts.ts'
import { shardOfSession } from './shards.ts'

export interface TurnOptions {
  /** Sessions of one call: Redis does nothing else meanwhile. */
  max: number
  /** In front of what is said of each session. */
  common?: () => string[]
}

interface Asked {
  sessionId: string
  args: readonly string[]
  resolve: (reply: unknown[]) => void
  reject: (error: unknown) => void
}

/**
 * A script that answers for any number of sessions. What one turn of the event loop asks goes together: a call costs Redis
 * and its client five times what one more session in it does, and after a deploy thousands come at once.
 */
export function byTurn(
  hot: Hot,
  name: ScriptName,
  { max, common = () => [] }: TurnOptions,
): (sessionId: string, args: readonly string[]) => Promise<unknown[]> {
  const { routes } = hot
  let waiting: Asked[] = []

  async function flush(): Promise<void> {
    const asked = waiting
    waiting = []
    if (!routes.isKnown) await routes.known()
    const groups = groupsOf(routes, asked, max, ({ sessionId }) => shardOfSession(sessionId))
    for (const { shard, items } of groups) void send(shard, items)
  }

  async function send(shard: number, items: { item: Asked; base: string }[]): Promise<void> {
    const args = common()
    const keys: string[] = []
    for (const { item, base } of items) {
      args.push(base, item.sessionId, ...item.args)
      if (routes.isCluster) keys.push(...keysOf(routes, shard, item.sessionId))
    }
    try {
      const replies = (await routes.run(name, shard, args, keys)) as unknown[][]
      for (const [at, { item }] of items.entries()) item.resolve(replies[at] ?? [])
    } catch (error) {
      for (const { item } of items) item.reject(error)
    }
  }

  function ask(sessionId: string, args: readonly string[]): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      waiting.push({ sessionId, args, resolve, reject })
      if (waiting.length === 1) setImmediate(() => void flush())
    })
  }

  return (sessionId, args) => inThisLife(hot, sessionId, () => ask(sessionId, args))
}
