import { ErrorReply } from 'redis'
import {
  type Client,
  type CommandOptions,
  discard,
  messageOf,
  newClient,
  Unreachable,
} from './client.ts'
import type { Script, Scripts } from './scripts.ts'
import { Subscriber } from './subscriber.ts'

export interface ServerOptions {
  url: string
  scripts: Scripts
  /** Without a reply for so long, the connection is thrown away and with it what is under way: its outcome is unknown. */
  timeoutMs: number
  /** Commands go through again: after the first connect and each later one. */
  onUp(server: Server): void
  /** Another life of this server has begun: something may be lost. */
  onOtherLife(server: Server): void
  /** Messages of subscriptions may have been missed. */
  onMissed(server: Server): void
  onMessage(channel: string, message: string): void
}

const tickMs = 200
/** Short enough that a server that hangs is found out within 2.5 s. */
const pingMs = 500
const loadingMs = 100

/** One Redis server: a connection for commands and, once somebody subscribes, one for messages. */
export class Server implements Disposable {
  readonly url: string
  readonly #options: ServerOptions
  /** Until then what is asked of it waits for it to come up. */
  readonly #patientUntil: number
  #client: Client
  readonly #subscriber: Subscriber
  #isReady = false
  #readySince = 0
  #isClosed = false
  #pending = 0
  #movedAt = 0
  #tickAt = performance.now()
  #pingAt = 0
  #connectingAt = 0
  readonly #timer: Timer
  #failure = 'not connected yet'
  #waiting: (() => void)[] = []
  #hasBeenUp = false
  #life = ''
  #slots: unknown = null

  constructor(options: ServerOptions) {
    this.url = options.url
    this.#options = options
    const { url, timeoutMs, onMessage } = options
    this.#patientUntil = performance.now() + timeoutMs
    const onMissed = () => options.onMissed(this)
    this.#subscriber = new Subscriber({ url, timeoutMs, onMessage, onMissed })
    this.#client = this.#connect()
    this.#timer = setInterval(() => this.#look(), tickMs)
    this.#timer.unref()
  }

  get isUp(): boolean {
    return this.#isReady
  }

  /** Of a cluster's node when it came up last: which node has which slots. */
  get slots(): unknown {
    return this.#slots
  }

  get failure(): string {
    return this.#failure
  }

  /** How long commands have gone through without a break; 0: they don't. */
  get upForMs(): number {
    return this.#isReady ? performance.now() - this.#readySince : 0
  }

  /** Rejects with what Redis says, or `Unreachable`. */
  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    if (!this.#isReady && !this.#hasBeenUp) await this.#firstUp()
    const rest = [`${keys.length}`, ...keys, ...args]
    try {
      return await this.send(['EVALSHA', script.sha1, ...rest])
    } catch (error) {
      const isUnknown = error instanceof Error && error.message.startsWith('NOSCRIPT')
      if (!isUnknown) throw error
      return await this.send(['EVAL', script.text, ...rest])
    }
  }

  async command(args: readonly string[], options?: CommandOptions): Promise<unknown> {
    if (!this.#isReady && !this.#hasBeenUp) await this.#firstUp()
    return await this.send(args, options)
  }

  send(args: readonly string[], options?: CommandOptions): Promise<unknown> {
    if (!this.#isReady) return Promise.reject(new Unreachable(this.#failure))
    const client = this.#client
    if (this.#pending === 0) this.#movedAt = performance.now()
    this.#pending += 1
    return client.sendCommand(args as string[], options).then(
      (reply) => {
        this.#replied(client)
        return reply
      },
      (error: unknown) => {
        this.#replied(client)
        throw error instanceof ErrorReply
          ? error
          : new Unreachable(messageOf(error), { cause: error })
      },
    )
  }

  /** Resolves once messages that are published from then on are heard. `isAlone`: in a command of their own. */
  subscribe(channels: readonly string[], isAlone: boolean): Promise<void> {
    return this.#subscriber.subscribe(channels, isAlone)
  }

  unsubscribe(channel: string): Promise<void> {
    return this.#subscriber.unsubscribe(channel)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#isReady = false
    clearInterval(this.#timer)
    discard(this.#client)
    this.#subscriber[Symbol.dispose]()
    this.#wake()
  }

  #connect(): Client {
    this.#connectingAt = performance.now()
    const client = newClient(this.#options.url, this.#options.timeoutMs)
    client.on('error', (error: unknown) => this.#down(client, error))
    client.on('ready', () => void this.#up(client))
    client.connect().catch((error: unknown) => this.#down(client, error))
    return client
  }

  async #up(client: Client): Promise<void> {
    if (this.#isClosed || client !== this.#client || !client.isReady) return
    let life: string
    try {
      // At once, so that the first step after a restart of Redis needs no second try.
      const load = (script: Script) => client.sendCommand(['SCRIPT', 'LOAD', script.text])
      await Promise.all(Object.values(this.#options.scripts).map(load))
      const info = String(await client.sendCommand(['INFO', 'replication', 'cluster']))
      life = lifeOf(info)
      const isNode = info.includes('cluster_enabled:1')
      this.#slots = isNode ? await client.sendCommand(['CLUSTER', 'SLOTS']) : null
    } catch (error) {
      this.#down(client, error)
      // It is there, and still reads its files: nothing else would ask again.
      if (error instanceof ErrorReply) setTimeout(() => void this.#up(client), loadingMs).unref()
      return
    }
    if (this.#isClosed || client !== this.#client || !client.isReady) return
    this.#isReady = true
    this.#hasBeenUp = true
    this.#readySince = performance.now()
    this.#pending = 0
    this.#options.onUp(this)
    this.#wake()
    this.#lives(life)
  }

  /** A script has met another life than it knew: a failover, perhaps, that broke no connection. */
  async lookAtLife(): Promise<void> {
    this.#lives(lifeOf(await this.send(['INFO', 'replication'])))
  }

  #lives(life: string): void {
    const before = this.#life
    this.#life = life
    if (before !== '' && before !== life) this.#options.onOtherLife(this)
  }

  #down(client: Client, error: unknown): void {
    if (client !== this.#client) return
    if (this.#isReady) this.#connectingAt = performance.now()
    this.#isReady = false
    this.#failure = messageOf(error)
  }

  #replied(client: Client): void {
    if (client !== this.#client) return
    this.#pending -= 1
    this.#movedAt = performance.now()
  }

  async #firstUp(): Promise<void> {
    const patienceMs = this.#patientUntil - performance.now()
    if (patienceMs > 0) {
      let timer: Timer | undefined
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, patienceMs)
        this.#waiting.push(resolve)
      })
      clearTimeout(timer)
    }
    if (!this.#isReady) throw new Unreachable(this.#failure)
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  #look(): void {
    const now = performance.now()
    // A process that stood still is not a server that hangs.
    if (now - this.#tickAt > tickMs * 4) {
      this.#movedAt = now
      this.#subscriber.stoodStill()
    }
    this.#tickAt = now
    if (this.#isReady && now - this.#pingAt >= pingMs) {
      this.#pingAt = now
      this.send(['PING']).catch(() => undefined)
    }
    const { timeoutMs } = this.#options
    if (this.#pending > 0 && now - this.#movedAt > timeoutMs) this.#throwAway()
    // Half open: a connection that never became one.
    else if (!this.#isReady && now - this.#connectingAt > 2 * timeoutMs) this.#throwAway()
    this.#subscriber.look(now)
  }

  #throwAway(): void {
    const old = this.#client
    const wasReady = this.#isReady
    this.#isReady = false
    this.#pending = 0
    if (wasReady) this.#failure = `no reply within ${this.#options.timeoutMs} ms`
    this.#client = this.#connect()
    discard(old)
  }
}

function lifeOf(info: unknown): string {
  return /master_replid:(\w+)/.exec(String(info))?.[1] ?? ''
}
