import { sleep } from '#runtime/sleep.ts'
import type { Watch } from '../generations.ts'
import type { Routes } from './routes.ts'
import { shardOfSession } from './shards.ts'

const retryMs = 500

interface Place {
  /** How often somebody watches here. */
  count: number
  isSubscribed: boolean
  /** What Redis knows is brought to what is so. */
  settling: Promise<void> | null
}

/**
 * Where somebody watches a session. Each node with somebody subscribes to a channel on which nothing is ever said, and
 * Redis counts its subscribers: a node that dies is no longer counted, and nothing has to be renewed.
 */
export class Attendance implements Disposable {
  readonly #routes: Routes
  readonly #places = new Map<string, Place>()
  readonly #end = new AbortController()

  constructor(routes: Routes) {
    this.#routes = routes
  }

  attend(sessionId: string): Watch {
    const place = this.#places.get(sessionId) ?? { count: 0, isSubscribed: false, settling: null }
    this.#places.set(sessionId, place)
    place.count += 1
    this.#settle(sessionId, place)
    let isOpen = true
    return {
      close: () => {
        if (!isOpen) return
        isOpen = false
        place.count -= 1
        this.#settle(sessionId, place)
      },
    }
  }

  async isAttended(sessionId: string): Promise<boolean> {
    const place = this.#places.get(sessionId)
    // Whoever has just left here is still counted.
    if (place?.count === 0) await place.settling
    if (place !== undefined && place.count > 0) return true
    const command = ['PUBSUB', 'SHARDNUMSUB', this.#channelOf(sessionId)]
    const [, count] = (await this.#routes.command(shardOfSession(sessionId), command)) as unknown[]
    return Number(count) > 0
  }

  [Symbol.dispose](): void {
    this.#end.abort()
  }

  #channelOf(sessionId: string): string {
    return `${this.#routes.base(shardOfSession(sessionId))}v:${sessionId}`
  }

  #settle(sessionId: string, place: Place): void {
    place.settling ??= this.#bring(sessionId, place).finally(() => {
      place.settling = null
      if (place.count > 0 !== place.isSubscribed && !this.#end.signal.aborted) {
        this.#settle(sessionId, place)
      } else if (place.count === 0) this.#places.delete(sessionId)
    })
  }

  /** One after the other: Redis could else hear of the second first. */
  async #bring(sessionId: string, place: Place): Promise<void> {
    const channel = this.#channelOf(sessionId)
    const { signal } = this.#end
    while (place.count > 0 !== place.isSubscribed && !signal.aborted) {
      try {
        if (place.isSubscribed) await this.#routes.unsubscribe(channel)
        else await this.#routes.subscribe(shardOfSession(sessionId), [channel])
        place.isSubscribed = !place.isSubscribed
      } catch {
        // Redis is away: whoever watches here is counted once it is back.
        await sleep(retryMs, signal)
      }
    }
  }
}
