import type { CommandOptions } from './client.ts'
import { outboxKeys } from './outbox.ts'
import { loadScripts, type Script, type ScriptName } from './scripts.ts'
import { Server } from './server.ts'
import { shardBases, slotOf } from './shards.ts'

export interface RoutesOptions {
  /** One URL, several separated by commas (a shard is on the server of its number modulo theirs), or nodes of a cluster. */
  url: string
  /** Of all keys. */
  prefix?: string | undefined
  /** Without a reply for so long a connection is thrown away. */
  timeoutMs?: number | undefined
  onUp?(server: Server): void
  onOtherLife?(server: Server): void
  /** Messages of these channels may have been missed. */
  onMissed?(isOf: (channel: string) => boolean): void
  onMessage?(channel: string, message: string): void
}

interface Range {
  from: number
  to: number
  url: string
}

const prefixDefault = 'sluice:'
const timeoutMsDefault = 1_500
const triesMax = 16
const refreshMs = 500
const knownMs = 5
/** What the second says: a script met a key whose slot is on its way. Nothing was written by then. */
const moving = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY) |non local key/

/** Which server a shard is on. */
export class Routes implements Disposable {
  /** What every key of a shard begins with. */
  readonly bases: readonly string[]
  readonly #options: RoutesOptions
  readonly #scripts = loadScripts()
  readonly #timeoutMs: number
  readonly #patientUntil: number
  readonly #slots: readonly number[]
  #servers: readonly Server[]
  #ofShard: Server[]
  readonly #channels = new Map<string, Server>()
  #isCluster = false
  #isKnown = false
  #refreshing: Promise<void> | null = null
  #timer: Timer | null = null
  #isClosed = false

  constructor(options: RoutesOptions) {
    this.#options = options
    const { url, prefix = prefixDefault, timeoutMs = timeoutMsDefault } = options
    this.#timeoutMs = timeoutMs
    this.#patientUntil = performance.now() + timeoutMs
    this.bases = shardBases(prefix)
    this.#slots = this.bases.map((base) => slotOf(/\{(.*)\}/.exec(base)?.[1] ?? base))
    this.#servers = url.split(',').map((each) => this.#newServer(each.trim()))
    this.#ofShard = this.bases.map((_, shard) => this.#at(shard % this.#servers.length))
  }

  get servers(): readonly Server[] {
    return this.#servers
  }

  /** One script call may carry steps of all shards of one server, but for a cluster. */
  get isCluster(): boolean {
    return this.#isCluster
  }

  /** Before what goes together is put together: resolves once it is known what the servers are, or none was there. */
  async known(): Promise<void> {
    while (!this.#isKnown && performance.now() < this.#patientUntil) await Bun.sleep(knownMs)
  }

  get isKnown(): boolean {
    return this.#isKnown
  }

  of(shard: number): Server {
    return this.#ofShard[shard] ?? this.#at(0)
  }

  base(shard: number): string {
    return this.bases[shard] ?? ''
  }

  /** A script on keys of one shard, or (without a cluster) of all shards of its server. */
  run(
    name: ScriptName,
    shard: number,
    args: readonly string[],
    keys: readonly string[] = [],
  ): Promise<unknown> {
    const script = this.#scripts[name]
    const all = [outboxKeys.stream(this.base(shard)), ...keys]
    return this.#routed(shard, (server) => server.run(script, all, args))
  }

  /** One that is not of hot state itself. In a cluster all keys are of this shard. */
  runScript(
    script: Script,
    shard: number,
    { keys, args }: { keys: readonly string[]; args: readonly string[] },
  ): Promise<unknown> {
    return this.#routed(shard, (server) => server.run(script, keys, args))
  }

  command(shard: number, args: readonly string[], options?: CommandOptions): Promise<unknown> {
    return this.#routed(shard, (server) => server.command(args, options))
  }

  async #routed<T>(shard: number, send: (server: Server) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await send(this.of(shard))
      } catch (error) {
        const isMoving = error instanceof Error && moving.test(error.message)
        if (!isMoving || tries === triesMax) throw error
        await this.#refresh()
        if (tries > 1) await Bun.sleep(20 * tries)
      }
    }
  }

  /** Of one shard. */
  async subscribe(shard: number, channels: readonly string[]): Promise<void> {
    if (!this.#isKnown) await this.known()
    try {
      await this.#routed(shard, async (server) => {
        for (const channel of channels) this.#channels.set(channel, server)
        // A command's channels have to be of one slot; a node that is not up yet can't say that it is a cluster's.
        await server.subscribe(channels, this.#isCluster)
      })
    } catch (error) {
      for (const channel of channels) this.#channels.delete(channel)
      throw error
    }
  }

  async unsubscribe(channel: string): Promise<void> {
    const server = this.#channels.get(channel)
    this.#channels.delete(channel)
    await server?.unsubscribe(channel)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const server of this.#servers) server[Symbol.dispose]()
  }

  #at(index: number): Server {
    const server = this.#servers[index]
    if (server === undefined) throw new Error('no Redis server is named')
    return server
  }

  #newServer(url: string): Server {
    const { onMessage = () => undefined } = this.#options
    return new Server({
      url,
      scripts: this.#scripts,
      timeoutMs: this.#timeoutMs,
      onMessage,
      onOtherLife: (other) => this.#options.onOtherLife?.(other),
      onUp: (server) => this.#isUp(server),
      onMissed: (server) =>
        this.#options.onMissed?.((channel) => this.#channels.get(channel) === server),
    })
  }

  #isUp(server: Server): void {
    const ranges = server.slots === null ? [] : rangesOf(server.slots, server.url)
    if (ranges.length > 0 && !this.#isCluster) {
      this.#isCluster = true
      this.#timer = setInterval(() => {
        if (this.#servers.some((each) => !each.isUp)) void this.#refresh()
      }, refreshMs)
      this.#timer.unref()
      void this.#settle(ranges)
    }
    this.#isKnown = true
    this.#options.onUp?.(server)
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#readSlots().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  async #readSlots(): Promise<void> {
    for (const server of this.#servers) {
      if (!server.isUp) continue
      try {
        const ranges = rangesOf(await server.send(['CLUSTER', 'SLOTS']), server.url)
        if (ranges.length > 0) await this.#settle(ranges)
        return
      } catch {
        // Another of them may know.
      }
    }
  }

  async #settle(ranges: Range[]): Promise<void> {
    if (this.#isClosed) return
    const byUrl = new Map(this.#servers.map((server) => [server.url, server]))
    const urls = new Set(ranges.map((range) => range.url))
    const servers = [...urls].map((url) => byUrl.get(url) ?? this.#newServer(url))
    const old = this.#servers.filter((server) => !urls.has(server.url))
    this.#servers = servers
    this.#ofShard = this.#slots.map((slot) => {
      const url = ranges.find(({ from, to }) => from <= slot && slot <= to)?.url
      return servers.find((server) => server.url === url) ?? this.#at(0)
    })
    await this.#moveChannels()
    for (const server of old) server[Symbol.dispose]()
  }

  async #moveChannels(): Promise<void> {
    const moved = new Set<string>()
    const moves = [...this.#channels].map(async ([channel, server]) => {
      const shard = this.bases.findIndex((base) => channel.startsWith(base))
      const now = this.of(shard)
      if (now === server) return
      this.#channels.set(channel, now)
      void server.unsubscribe(channel)
      moved.add(channel)
      await now.subscribe([channel], true)
    })
    await Promise.allSettled(moves)
    if (moved.size > 0) this.#options.onMissed?.((channel) => moved.has(channel))
  }
}

/** Nodes are reached as the one that was asked: the same protocol, name and password. */
function rangesOf(reply: unknown, url: string): Range[] {
  if (!Array.isArray(reply)) return []
  return reply.map((entry: unknown): Range => {
    const [from, to, master] = entry as [number, number, [string, number]]
    const of = new URL(url)
    if (master[0] !== '') of.hostname = master[0]
    of.port = String(master[1])
    return { from, to, url: of.toString() }
  })
}
