import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { shardOf } from '#events/murmur2.ts'
import { randomToken } from '#runtime/ids.ts'
import type { Log } from '#runtime/log.ts'
import { groupsOf } from '../../generations/redis/groups.ts'
import type { Routes } from '../../generations/redis/routes.ts'

export interface CallsOptions {
  routes: Routes
  log: Log
  leaseMs: number
  /** Added to Redis' clock: for tests, which can't wait for a minute. */
  aheadMs: () => number
}

/** `r`: of a rate; `t`: slots are wanted; `s`: slots are held. See `limits.lua`. */
type What = 'r' | 't' | 's'

interface Call {
  shard: number
  /** Of the user, behind the base of the shard. */
  key: string
  what: What
  a: number
  b: number
  settle: ((reply: number | null) => void) | null
}

/** Of one script call: Redis does nothing else meanwhile, about 4 us each. */
const callsMax = 128

/** What this node asks of the limits in Redis: the calls of one turn of the event loop go together. */
export class Calls {
  readonly #options: CallsOptions
  readonly #script = loadScript()
  // Random, so that a node that starts again is not taken for the one that died.
  readonly #node = randomToken()
  #waiting: Call[] = []
  #isAlone = false

  constructor(options: CallsOptions) {
    this.#options = options
  }

  /** Null when Redis is out of reach: then this node has to decide alone. */
  ask(key: string, what: 'r' | 't', a: number, b: number): Promise<number | null> {
    return new Promise((settle) => this.#add({ ...placeOf(key), what, a, b, settle }))
  }

  /** Best effort. */
  hold(key: string, count: number): void {
    this.#add({ ...placeOf(key), what: 's', a: count, b: 0, settle: null })
  }

  /** Resolves when all that was said before has reached Redis, or could not. */
  async flush(): Promise<void> {
    const calls = this.#waiting
    this.#waiting = []
    if (calls.length === 0) return
    const { routes } = this.#options
    if (!routes.isKnown) await routes.known()
    const groups = groupsOf(routes, calls, callsMax, ({ shard }) => shard)
    await Promise.all(groups.map(({ shard, items }) => this.#send(shard, items)))
  }

  #add(call: Call): void {
    this.#waiting.push(call)
    if (this.#waiting.length === 1) setImmediate(() => void this.flush())
  }

  async #send(shard: number, items: { item: Call; base: string }[]): Promise<void> {
    const { routes, leaseMs, aheadMs } = this.#options
    const keys = items.map(({ item, base }) => base + item.key)
    const args = [`${aheadMs()}`, this.#node, `${leaseMs}`]
    for (const { item } of items) args.push(item.what, `${item.a}`, `${item.b}`)
    let replies: number[] | null = null
    try {
      replies = (await routes.runScript(this.#script, shard, { keys, args })) as number[]
      this.#heard(null)
    } catch (error) {
      this.#heard(error)
    }
    for (const [at, { item }] of items.entries()) item.settle?.(replies?.[at] ?? null)
  }

  #heard(error: unknown): void {
    const isAlone = error !== null
    if (isAlone === this.#isAlone) return
    this.#isAlone = isAlone
    const { log } = this.#options
    if (isAlone) log.warn('limits are those of this node alone', { error })
    else log.info('limits are those of all nodes again')
  }
}

function placeOf(key: string): { shard: number; key: string } {
  return { key, shard: shardOf(key.slice(key.indexOf('\n') + 1)) }
}

function loadScript() {
  const text = readFileSync(new URL('./limits.lua', import.meta.url), 'utf8')
  return { text, sha1: createHash('sha1').update(text).digest('hex') }
}
