import type { DependencyHealth } from '#runtime/health.ts'
import type { Entry, Holder, Outbox, Place, ShardBacklog } from '../../relay/outbox.ts'
import { backlogOf } from './backlog.ts'
import { inBytes } from './client.ts'
import { EntryRecord } from './entry-record.ts'
import { groupsOf } from './groups.ts'
import { outboxKeys } from './outbox.ts'
import { Routes, type RoutesOptions } from './routes.ts'
import type { ScriptName } from './scripts.ts'

/** As hot state has them. */
export type RedisOutboxOptions = Pick<RoutesOptions, 'url' | 'prefix' | 'timeoutMs'>

// One script call holds Redis for about a millisecond.
const removedMax = 1_000

/** The outbox of the hot state in Redis. */
export function redisOutbox(options: RedisOutboxOptions): Outbox {
  return new RedisOutbox(options)
}

class RedisOutbox implements Outbox {
  onBack = (): void => undefined
  readonly #routes: Routes

  constructor(options: RedisOutboxOptions) {
    this.#routes = new Routes({ ...options, onUp: () => this.onBack() })
  }

  get shards(): number {
    return this.#routes.bases.length
  }

  health(): DependencyHealth {
    const down = this.#routes.servers.find((server) => !server.isUp)
    return down === undefined ? { state: 'up' } : { state: 'down', reason: down.failure }
  }

  async read({ shard, after }: Place, max: number): Promise<Entry[]> {
    const from = after === null ? '-' : `(${after}`
    const key = outboxKeys.stream(this.#routes.base(shard))
    const command = ['XRANGE', key, from, '+', 'COUNT', `${max}`]
    const reply = await this.#routes.command(shard, command, inBytes)
    return (reply as [Buffer, Buffer[]][]).map(([id, fields]) => ({
      id: id.toString('latin1'),
      record: new EntryRecord(fields),
    }))
  }

  async waiting(places: readonly Place[]): Promise<number[]> {
    const bytes = places.map(() => 0)
    await this.#grouped('waiting', [...places.entries()], {
      shardOf: ([, { shard }]) => shard,
      argsOf: ([, { after }], base) => [base, after ?? '-'],
      found: ([index], reply) => {
        bytes[index] = reply
      },
    })
    return bytes
  }

  async remove(taken: ReadonlyMap<number, readonly Entry[]>): Promise<void> {
    const parts = [...taken].flatMap(([shard, entries]) =>
      chunksOf(entries, removedMax).map((chunk) => ({ shard, chunk })),
    )
    const bins: (typeof parts)[] = []
    let room = 0
    for (const part of parts) {
      if (room < part.chunk.length) {
        bins.push([])
        room = removedMax
      }
      bins.at(-1)?.push(part)
      room -= part.chunk.length
    }
    await Promise.all(
      bins.flatMap((bin) =>
        groupsOf(this.#routes, bin, bin.length, ({ shard }) => shard).map(({ shard, items }) => {
          const args: string[] = []
          for (const { item, base } of items) {
            args.push(base, `${item.chunk.length}`)
            args.push(item.chunk.map(({ record }) => record.value.length).join())
            for (const { id } of item.chunk) args.push(id)
          }
          return this.#run('relayed', shard, args)
        }),
      ),
    )
  }

  async refuse(shard: number, id: string, reason: string): Promise<boolean> {
    return (await this.#run('refuse', shard, [id, reason])) === 1
  }

  async announce({ token, leaseMs }: Holder): Promise<number> {
    return (await this.#run('relays', 0, [token, `${leaseMs}`])) as number
  }

  async renew(
    shards: readonly number[],
    { token, leaseMs }: Holder,
  ): Promise<Map<number, 'kept' | 'anew' | 'lost'>> {
    const states = new Map<number, 'kept' | 'anew' | 'lost'>()
    await this.#grouped('hold', shards, {
      shardOf: (shard) => shard,
      first: [token, `${leaseMs}`, '0'],
      argsOf: (_, base) => [base, '1'],
      found: (shard, reply) => {
        states.set(shard, reply === 0 ? 'lost' : reply === 1 ? 'kept' : 'anew')
      },
    })
    return states
  }

  async take(shards: readonly number[], holder: Holder, max: number): Promise<number[]> {
    const { token, leaseMs } = holder
    const taken: number[] = []
    for (const { shard, items } of groupsOf(this.#routes, shards, shards.length, (each) => each)) {
      if (taken.length >= max) break
      const args = [token, `${leaseMs}`, `${max - taken.length}`]
      for (const { base } of items) args.push(base, '0')
      try {
        const reply = (await this.#run('hold', shard, args)) as number[]
        for (const [index, { item }] of items.entries()) {
          if ((reply[index] ?? 0) > 0) taken.push(item)
        }
      } catch {
        // Of one server of several: there is work on the others.
      }
    }
    return taken
  }

  async release(shards: readonly number[], { token }: Holder): Promise<void> {
    await this.#grouped('release', shards, {
      shardOf: (shard) => shard,
      first: [token],
      argsOf: (_, base) => [base],
    })
  }

  async leave({ token }: Holder): Promise<void> {
    await this.#run('relays', 0, [token, '0'])
  }

  async backlog(shards: readonly number[]): Promise<ShardBacklog[]> {
    const found: ShardBacklog[] = []
    await Promise.all(
      groupsOf(this.#routes, shards, shards.length, (each) => each).map(
        async ({ shard, items }) => {
          const bases = items.map(({ base }) => base)
          const reply = (await this.#run('backlog', shard, bases)) as number[]
          found.push(...items.map((_, at) => backlogOf(reply, at)))
        },
      ),
    )
    return found
  }

  [Symbol.dispose](): void {
    this.#routes[Symbol.dispose]()
  }

  /**
   * One script over all shards of a server at once, or in a cluster a shard at a time. Rejects when no server answers: of
   * several, one that is away is no reason to wait with the others.
   */
  async #grouped<T>(name: ScriptName, items: readonly T[], ask: Grouped<T>): Promise<void> {
    if (items.length === 0) return
    if (!this.#routes.isKnown) await this.#routes.known()
    const results = await Promise.allSettled(
      groupsOf(this.#routes, items, items.length, ask.shardOf).map(async (group) => {
        const args = [...(ask.first ?? [])]
        for (const { item, base } of group.items) args.push(...ask.argsOf(item, base))
        const reply = await this.#run(name, group.shard, args)
        if (ask.found === undefined) return
        for (const [at, { item }] of group.items.entries()) {
          ask.found(item, (reply as number[])[at] ?? 0)
        }
      }),
    )
    const [first] = results
    const isAway = results.every(({ status }) => status === 'rejected')
    if (isAway && first?.status === 'rejected') throw first.reason
  }

  /** A cluster is told all keys, so that a script runs with all of them or not at all while a slot moves. */
  async #run(name: ScriptName, shard: number, args: readonly string[]): Promise<unknown> {
    if (!this.#routes.isKnown) await this.#routes.known()
    const base = this.#routes.base(shard)
    const { size, refused, relay } = outboxKeys
    const keys = this.#routes.isCluster ? [size(base), refused(base), relay(base)] : []
    return await this.#routes.run(name, shard, args, keys)
  }
}

interface Grouped<T> {
  shardOf(item: T): number
  first?: readonly string[]
  argsOf(item: T, base: string): readonly string[]
  /** What the script answered of it. */
  found?(item: T, reply: number): void
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = []
  for (let at = 0; at < items.length; at += size) chunks.push(items.slice(at, at + size))
  return chunks
}
