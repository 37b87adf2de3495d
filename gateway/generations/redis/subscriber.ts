import { ErrorReply } from 'redis'
import { type Client, discard, messageOf, newClient, Unreachable } from './client.ts'

export interface SubscriberOptions {
  url: string
  timeoutMs: number
  onMessage(channel: string, message: string): void
  /** Messages may have been missed. */
  onMissed(): void
}

const pingMs = 1_000
const lookMs = 5

/** The connection for messages: opened once somebody subscribes, thrown away when it says nothing. */
export class Subscriber implements Disposable {
  readonly #options: SubscriberOptions
  readonly #channels = new Set<string>()
  /** Left while Redis could not be told: the client subscribes to them again with all others. */
  readonly #untold = new Set<string>()
  #client: Client | null = null
  #turn: { channels: string[]; subscribed: Promise<void> } | null = null
  #isClosed = false
  #pingAt = 0
  #heardAt = 0

  constructor(options: SubscriberOptions) {
    this.#options = options
  }

  /** `isAlone`: in a command of their own. */
  async subscribe(channels: readonly string[], isAlone: boolean): Promise<void> {
    for (const channel of channels) {
      this.#channels.add(channel)
      this.#untold.delete(channel)
    }
    this.#client ??= this.#connect('first')
    try {
      await (isAlone ? this.#send(channels) : this.#withTurn(channels))
    } catch (error) {
      for (const channel of channels) this.#channels.delete(channel)
      // Redis itself may say that the channels are elsewhere.
      throw error instanceof ErrorReply
        ? error
        : new Unreachable(messageOf(error), { cause: error })
    }
  }

  /** What one turn of the event loop asks goes together: after a deploy thousands come at once. */
  #withTurn(channels: readonly string[]): Promise<void> {
    if (this.#turn === null) {
      const turn: string[] = []
      const subscribed = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        this.#turn = null
        return this.#send(turn)
      })
      this.#turn = { channels: turn, subscribed }
    }
    this.#turn.channels.push(...channels)
    return this.#turn.subscribed
  }

  async #send(channels: readonly string[]): Promise<void> {
    const client = await this.#ready()
    // Some may have been left since, and nobody would unsubscribe from them again.
    const wanted = channels.filter((channel) => this.#channels.has(channel))
    if (wanted.length > 0) await client.sSubscribe(wanted, this.#heard)
  }

  /** Resolves once Redis knows, or is away. */
  async unsubscribe(channel: string): Promise<void> {
    this.#channels.delete(channel)
    const client = this.#client
    if (client === null) return
    try {
      if (!client.isReady) throw new Error('not connected')
      await client.sUnsubscribe(channel, this.#heard)
    } catch {
      if (client === this.#client && !this.#channels.has(channel)) this.#untold.add(channel)
    }
  }

  /** The process did, so nothing can be said of the server. */
  stoodStill(): void {
    this.#heardAt = performance.now()
  }

  look(now: number): void {
    const client = this.#client
    if (client === null || !client.isReady) return
    if (now - this.#pingAt >= pingMs) {
      this.#pingAt = now
      client.sendCommand(['PING']).then(
        () => {
          if (client === this.#client) this.#heardAt = performance.now()
        },
        () => undefined,
      )
    }
    if (now - this.#heardAt <= this.#options.timeoutMs + pingMs) return
    this.#client = this.#connect('again')
    discard(client)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    if (this.#client !== null) discard(this.#client)
  }

  readonly #heard = (message: string, channel: string): void => {
    if (this.#channels.has(channel)) this.#options.onMessage(channel, message)
  }

  #connect(which: 'first' | 'again'): Client {
    const client = newClient(this.#options.url, this.#options.timeoutMs)
    this.#untold.clear()
    let isNew = true
    // The client itself connects again, and `health` looks at the other connection.
    client.on('error', () => undefined)
    client.on('ready', () => {
      if (client !== this.#client || this.#isClosed) return
      this.#heardAt = performance.now()
      // On its later connections the client has subscribed again before it says that it is ready.
      if (!isNew) {
        this.#tellLeft()
        this.#options.onMissed()
      } else if (which === 'again') void this.#subscribeAll(client)
      isNew = false
    })
    client.connect().catch(() => undefined)
    return client
  }

  #tellLeft(): void {
    const left = [...this.#untold]
    this.#untold.clear()
    for (const channel of left) void this.unsubscribe(channel)
  }

  async #subscribeAll(client: Client): Promise<void> {
    try {
      await Promise.all([...this.#channels].map((each) => client.sSubscribe(each, this.#heard)))
    } catch {
      // Down again: what was not subscribed by then is with the next look.
      if (client === this.#client && !this.#isClosed) {
        this.#client = this.#connect('again')
        discard(client)
      }
      return
    }
    this.#options.onMissed()
  }

  async #ready(): Promise<Client> {
    const deadline = performance.now() + this.#options.timeoutMs
    for (;;) {
      if (this.#client?.isReady === true) return this.#client
      if (performance.now() > deadline || this.#isClosed) throw new Error('not connected')
      await Bun.sleep(lookMs)
    }
  }
}
