import type { DependencyHealth } from '#runtime/health.ts'
import type { Log } from '#runtime/log.ts'
import { sleep } from '#runtime/sleep.ts'
import { Lane } from './lane.ts'
import { Leases } from './leases.ts'
import type { RelayMetrics } from './metrics.ts'
import type { Outbox } from './outbox.ts'
import { type Publisher, Publishing } from './publishing.ts'

export interface RelayParts {
  outbox: Outbox
  publisher: Publisher
  metrics: RelayMetrics
  token: string
  log: Log
  /** Abort it to drain: what is in hand is finished, leases are given back. */
  signal: AbortSignal
}

const shardUnsettledMax = 2_000
const unsettledMax = 20_000
const bytesMax = 32 << 20
const readMax = 500
const readBytesMax = 1 << 20
/** Fewer, and it is worth while to wait for more. */
const readMin = 200
const pauseMs = { first: 4, most: 100 }
const lookMs = 1_000
const drainMs = 6_500

/** Takes shards, and brings what waits in their outboxes into the log, in order. */
export class Relay {
  readonly #parts: RelayParts
  readonly #leases: Leases
  readonly #publishing: Publishing
  readonly #lanes = new Map<number, Lane>()
  #wake: () => void = () => undefined
  #isPurging = false
  #hasLooked = false
  #first = 0

  constructor(parts: RelayParts) {
    this.#parts = parts
    const { outbox, token, log } = parts
    this.#publishing = new Publishing(parts, () => this.#wake())
    this.#leases = new Leases({
      ...{ outbox, token, log },
      events: {
        taken: (shard) => this.#lanes.set(shard, new Lane(shard)),
        lapsed: (shard) => this.#lanes.get(shard)?.stop(),
        lost: (shards) => this.#lost(shards),
        leave: (shard) => {
          const lane = this.#lanes.get(shard)
          if (lane !== undefined) lane.isLeaving = true
        },
      },
    })
    outbox.onBack = () => {
      for (const lane of this.#lanes.values()) lane.stop()
    }
  }

  get held(): readonly number[] {
    return this.#leases.held
  }

  set refused(count: number) {
    this.#publishing.refused = count
  }

  health(): DependencyHealth {
    if (!this.#hasLooked) return { state: 'down', reason: 'no shard was looked at yet' }
    const isStuck = [...this.#lanes.values()].some(({ failures }) => failures > 0)
    const { trouble, refused } = this.#publishing
    if (isStuck && trouble !== null) return { state: 'down', reason: trouble }
    if (refused === 0) return { state: 'up' }
    return { state: 'up', reason: `${refused} events were refused: bun run dlq list` }
  }

  /** Until the signal, and then until what was in hand is done. */
  async run(): Promise<void> {
    const { signal } = this.#parts
    const ended = new AbortController()
    const leasing = this.#keepLeases(ended.signal)
    const onAbort = () => this.#wake()
    signal.addEventListener('abort', onAbort, { once: true })
    for (let idleMs: number = pauseMs.first; !signal.aborted; ) {
      const found = await this.#round()
      if (found >= readMin) {
        idleMs = pauseMs.first
        // Reports, answers and timers shall have their turn.
        await new Promise(setImmediate)
        continue
      }
      idleMs = found > 0 ? pauseMs.first : Math.min(pauseMs.most, idleMs * 1.5)
      await this.#pause(idleMs)
    }
    await this.#drain()
    // What is renewed any more would be held by nobody.
    ended.abort()
    await leasing
    await this.#leases.leave().catch((error: unknown) => {
      this.#parts.log.warn('leases must lapse', { error })
    })
  }

  async #drain(): Promise<void> {
    const { log, publisher } = this.#parts
    log.info('draining', { unsettled: this.#publishing.unsettled })
    await this.#leases.goes().catch((error: unknown) => log.warn('cannot say goodbye', { error }))
    const deadline = performance.now() + drainMs
    while (this.#publishing.unsettled > 0 && performance.now() < deadline)
      await this.#pause(pauseMs.first)
    // What the next relay sends again must not come from here too.
    if (this.#onTheWay() > 0) await publisher.purge()
    this.#publishing[Symbol.dispose]()
  }

  #onTheWay(): number {
    return [...this.#lanes.values()].reduce((sum, { onTheWay }) => sum + onTheWay, 0)
  }

  async #keepLeases(ended: AbortSignal): Promise<void> {
    const { signal, log } = this.#parts
    while (!ended.aborted) {
      try {
        if (signal.aborted) await this.#leases.renewOnly()
        else await this.#leases.look()
        this.#hasLooked = true
        await this.#leave()
        this.#wake()
      } catch (error) {
        log.debug('the outbox is out of reach', { error })
      }
      await sleep(lookMs, ended)
    }
  }

  /** Reads once from each shard that has room; answers how many entries were found. */
  async #round(): Promise<number> {
    const now = performance.now()
    if (this.#isPurging) return 0
    let left = unsettledMax - this.#publishing.unsettled
    let leftBytes = bytesMax - this.#publishing.bytes
    const wanted: { lane: Lane; room: number }[] = []
    for (const lane of this.#inTurn()) {
      if (leftBytes <= 0 || !this.#leases.isSure(lane.shard)) continue
      const budget = Math.min(readBytesMax, leftBytes)
      const room = Math.min(readMax, left, lane.room(now, shardUnsettledMax, budget))
      if (room <= 0) continue
      wanted.push({ lane, room })
      if (!lane.isHot) continue
      left -= room
      leftBytes -= room * lane.entryBytes
    }
    const cold = wanted.filter(({ lane }) => !lane.isHot)
    const warmed = this.#warm(cold.map(({ lane }) => lane))
    const hot = wanted.filter(({ lane }) => lane.isHot)
    const counts = await Promise.all(hot.map(({ lane, room }) => this.#read(lane, room)))
    return counts.reduce((sum, count) => sum + count, 0) + (await warmed)
  }

  /** Each round another shard is the first to get what room is left. */
  #inTurn(): Lane[] {
    const lanes = [...this.#lanes.values()]
    this.#first = (this.#first + 1) % Math.max(1, lanes.length)
    return [...lanes.slice(this.#first), ...lanes.slice(0, this.#first)]
  }

  /** Which of these have something: they are read in the next round. Answers how many, as if that were a full read. */
  async #warm(lanes: readonly Lane[]): Promise<number> {
    if (lanes.length === 0) return 0
    const places = lanes.map(({ shard, after }) => ({ shard, after }))
    try {
      const bytes = await this.#parts.outbox.waiting(places)
      let warm = 0
      for (const [at, lane] of lanes.entries()) {
        const entryBytes = bytes[at] ?? 0
        if (entryBytes === 0) {
          if (lane.unsettled === 0) lane.suspects.clear()
          continue
        }
        lane.isHot = true
        lane.entryBytes = entryBytes
        warm += 1
      }
      return warm > 0 ? readMin : 0
    } catch {
      // Redis is away: its health says so.
      return 0
    }
  }

  async #read(lane: Lane, room: number): Promise<number> {
    const { turn, shard, after } = lane
    lane.isReading = true
    try {
      const entries = await this.#parts.outbox.read({ shard, after }, room)
      if (turn !== lane.turn || lane.isLost || lane.isLeaving || this.#isPurging) return 0
      const bytes = lane.read(entries)
      if (entries.length > 0) void this.#publishing.publish(lane, entries, bytes)
      return entries.length
    } catch {
      lane.isHot = false
      return 0
    } finally {
      lane.isReading = false
    }
  }

  /** Shards to leave go once nothing of them is on its way. */
  async #leave(): Promise<void> {
    const quiet = [...this.#lanes.values()].filter(
      ({ isLeaving, unsettled, isReading }) => isLeaving && unsettled === 0 && !isReading,
    )
    if (quiet.length === 0) return
    const shards = quiet.map(({ shard }) => shard)
    for (const shard of shards) this.#lanes.delete(shard)
    await this.#leases.release(shards)
    this.#parts.log.info('gave shards to other relays', { given: shards.length })
  }

  async #lost(shards: readonly number[]): Promise<void> {
    let onTheWay = 0
    for (const shard of shards) {
      const lane = this.#lanes.get(shard)
      if (lane === undefined) continue
      lane.isLost = true
      onTheWay += lane.onTheWay
      this.#lanes.delete(shard)
    }
    if (onTheWay === 0) return
    // Whoever has them now sends the same; what still waits here would only come after it.
    this.#isPurging = true
    try {
      await this.#parts.publisher.purge()
    } finally {
      this.#isPurging = false
    }
  }

  async #pause(ms: number): Promise<void> {
    let timer: Timer | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }
}
