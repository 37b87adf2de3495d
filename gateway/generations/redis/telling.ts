import type { FreeEvent } from '../steps.ts'
import { groupsOf } from './groups.ts'
import { outboxKeys, pushEvent } from './outbox.ts'
import type { Routes } from './routes.ts'
import { shardOfSession } from './shards.ts'

const callMax = 128
/** Events of no step that wait for Redis to come back; the oldest go first. */
const waitingMax = 10_000
const retryMs = 500

/** Events of no step, on their way into the outbox of their session's shard: best effort, in order. */
export class Telling implements AsyncDisposable {
  readonly #routes: Routes
  #waiting: FreeEvent[] = []
  #flushing: Promise<void> | null = null
  #timer: Timer | null = null
  #isClosed = false

  constructor(routes: Routes) {
    this.#routes = routes
  }

  tell(events: readonly FreeEvent[]): void {
    for (const event of events) this.#waiting.push(event)
    const over = this.#waiting.length - waitingMax
    if (over > 0) this.#waiting.splice(0, over)
    this.#start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#flushing
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #start(): void {
    if (this.#flushing !== null || this.#timer !== null || this.#isClosed) return
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = null
    })
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isClosed) {
      const batch = this.#waiting.splice(0, callMax)
      try {
        await this.#send(batch)
      } catch {
        this.#waiting.unshift(...batch)
        this.#timer = setTimeout(() => {
          this.#timer = null
          this.#start()
        }, retryMs)
        return
      }
    }
  }

  async #send(batch: readonly FreeEvent[]): Promise<void> {
    if (!this.#routes.isKnown) await this.#routes.known()
    const groups = groupsOf(this.#routes, batch, callMax, (event) => shardOfSession(event.key))
    await Promise.all(
      groups.map(({ shard, items }) => {
        const args: string[] = []
        for (const { item, base } of items) {
          args.push(base)
          pushEvent(args, item)
        }
        const keys = this.#routes.isCluster ? [outboxKeys.size(this.#routes.base(shard))] : []
        return this.#routes.run('tell', shard, args, keys)
      }),
    )
  }
}
