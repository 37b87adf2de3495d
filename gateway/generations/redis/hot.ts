import type { GenerationsOptions } from '../generations.ts'
import type { Ears } from './ears.ts'
import { outboxKeys } from './outbox.ts'
import type { Owned } from './owned.ts'
import type { Routes } from './routes.ts'
import type { Said } from './said.ts'
import type { ScriptName } from './scripts.ts'
import { shardOfSession } from './shards.ts'

export interface RedisOptions extends GenerationsOptions {
  /** One URL, several separated by commas (a shard is on the one of its number modulo theirs), or of a cluster. */
  url: string
  /** For events that this adapter has to make itself: what a lost life of Redis had not told. */
  nodeId: string
  eventContent: 'full' | 'none'
  chunkEventMs: number
  /** Of all keys. */
  prefix?: string
  /** Without a reply for so long a connection is thrown away. */
  timeoutMs?: number
  /** Nothing is claimed for lapsed before commands went through for so long: owners renew first. */
  settleMs?: number
  /** Between two looks at the sessions that are watched: they are kept. */
  keepMs?: number
  /** This node's clock: compared with Redis'. */
  now?: () => number
  /** Added to Redis' clock: for tests, which can't wait for a day. */
  aheadMs?: () => number
}

export function settleMsOf({ settleMs = 10_000 }: Pick<RedisOptions, 'settleMs'>): number {
  return settleMs
}

/** What every step of this adapter works with. */
export interface Hot {
  options: RedisOptions
  routes: Routes
  ears: Ears
  owned: Owned
  said: Said
  origin: string
  /** As scripts take it. */
  ahead(): string
  /** The Redis of this shard has too little memory left for new answers. */
  isMemoryFull(shard: number): boolean
  /** Tells what the session's former life had not told, and begins a new epoch. */
  renewLife(sessionId: string): Promise<void>
}

const livesMax = 5

/** The keys that a step writes or looks at, for a cluster; without one they need not be told. */
export function keysOf(
  routes: Routes,
  shard: number,
  sessionId: string,
  messageIds: readonly string[] = [],
): string[] {
  if (!routes.isCluster) return []
  const base = routes.base(shard)
  const own = ['s:', 'l:', 'h:'].map((kind) => `${base}${kind}${sessionId}`)
  const answers = messageIds.map((messageId) => `${base}g:${messageId}`)
  return [outboxKeys.size(base), `${base}leases`, ...own, ...answers]
}

/** Of an answer whose session is not known. */
function answerKeysOf(routes: Routes, shard: number, messageId: string): string[] {
  const base = routes.base(shard)
  return routes.isCluster ? [`${base}leases`, `${base}g:${messageId}`] : []
}

/** What `ask` answers of a session: when Redis has another life, it goes on under a new epoch and is asked for again. */
export async function inThisLife(
  hot: Hot,
  sessionId: string,
  ask: () => Promise<unknown[]>,
): Promise<unknown[]> {
  for (let lives = 0; lives < livesMax; lives += 1) {
    const reply = await ask()
    if (reply[0] !== 'epoch') return reply
    await hot.renewLife(sessionId)
  }
  throw new Error(`Redis changes faster than ${sessionId} can follow`)
}

/** A script on a session. */
export async function onSession(
  hot: Hot,
  sessionId: string,
  name: ScriptName,
  args: readonly string[],
  messageId?: string,
): Promise<unknown[]> {
  const shard = shardOfSession(sessionId)
  const messageIds = messageId === undefined ? [] : [messageId]
  return inThisLife(hot, sessionId, async () => {
    const keys = keysOf(hot.routes, shard, sessionId, messageIds)
    return (await hot.routes.run(name, shard, args, keys)) as unknown[]
  })
}

/** The same on an answer that is known by its id alone; `shard` is what the id names. */
export async function onAnswer(
  hot: Hot,
  shard: number,
  name: ScriptName,
  args: readonly string[],
  messageId: string,
): Promise<unknown[]> {
  for (let lives = 0; lives < livesMax; lives += 1) {
    const keys = answerKeysOf(hot.routes, shard, messageId)
    const reply = (await hot.routes.run(name, shard, args, keys)) as unknown[]
    if (reply[0] !== 'epoch') return reply
    await hot.renewLife(String(reply[1]))
  }
  throw new Error('Redis changes faster than an answer can follow')
}
