import { expect } from 'bun:test'
import type { EventLog, LogRecord } from '#eventlog/event-log.ts'
import { shardOf } from '#events/murmur2.ts'
import { topics } from '#events/topics.ts'
import { headOf, outboxKeys } from '#gateway/generations/redis/outbox.ts'
import { shardBases } from '#gateway/generations/redis/shards.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { type ConsumerProcess, startMain } from './consumer-process.ts'
import { redisClient } from './redis.ts'
import { until } from './until.ts'

type Client = Awaited<ReturnType<typeof redisClient>>

/** A relay as its users start it; ends with the test. */
export function startRelay(env: Record<string, string>): ConsumerProcess {
  return startMain('gateway/relay/main.ts', { AUTH: 'development', ...env })
}

export interface Told {
  eventId: string
  sessionId: string
  topic: string
  /** Its place among all of its session. */
  seq: number
  traceparent?: string
}

export interface TellOptions {
  sessions: number
  events: number
  /** Of the text of each. */
  text?: string
  topic?: string
  traceparent?: string
  /** Only sessions of shards on the server of this number, of a list. */
  on?: number
}

interface Sizes {
  n: number
  b: number
  entries: number
  refused: number
  /** The smallest count of any shard: below 0, something was subtracted twice. */
  least: number
}

/** The outbox of a Redis (or of one of several, or of a cluster), filled as the hot state's scripts fill it. */
export class FilledOutbox {
  readonly told: Told[] = []
  readonly bases = shardBases('sluice:')
  readonly #clients: readonly Client[]
  readonly #seqs = new Map<string, number>()

  private constructor(clients: readonly Client[]) {
    this.#clients = clients
  }

  static async open(...urls: string[]): Promise<FilledOutbox> {
    return new FilledOutbox(await Promise.all(urls.map((url) => redisClient(url))))
  }

  /** Sessions take turns, so that all shards have something to the end. */
  async tell(options: TellOptions): Promise<void> {
    const { sessions, events, text = 'words', topic, traceparent, on } = options
    const isThere = (id: string) => on === undefined || shardOf(id) % this.#clients.length === on
    const ids = Array.from({ length: sessions }, (_, at) => `session-${at}`).filter(isThere)
    const lots = new Map<number, Told[]>()
    for (let at = 0; at < events; at += 1) {
      const sessionId = ids[at % ids.length] ?? ''
      const seq = (this.#seqs.get(sessionId) ?? 0) + 1
      this.#seqs.set(sessionId, seq)
      const one: Told = {
        ...{ eventId: uuidv7(Date.now()), sessionId, seq },
        topic: topic ?? (seq % 10 === 0 ? topics.chat : topics.stream),
        ...(traceparent !== undefined && { traceparent }),
      }
      this.told.push(one)
      const shard = shardOf(sessionId)
      const lot = lots.get(shard)
      if (lot === undefined) lots.set(shard, [one])
      else lot.push(one)
    }
    await Promise.all([...lots].map(([shard, lot]) => this.#add(shard, lot, text)))
  }

  async #add(shard: number, lot: readonly Told[], text: string): Promise<void> {
    const base = this.bases[shard] ?? ''
    for (let at = 0; at < lot.length; at += 200) {
      const some = lot.slice(at, at + 200)
      await this.#on(shard, async (client) => {
        const multi = client.multi()
        let bytes = 0
        for (const event of some) {
          const v = jsonOf(event, text)
          bytes += Buffer.byteLength(v)
          const { topic: t, sessionId: k } = event
          multi.xAdd(outboxKeys.stream(base), '*', { t, k, h: headOfTold(event), v })
        }
        multi.hIncrBy(outboxKeys.size(base), 'n', some.length)
        multi.hIncrBy(outboxKeys.size(base), 'b', bytes)
        await multi.exec()
      })
    }
  }

  /** What is counted and what is there, over all shards. */
  async sizes(on?: number): Promise<Sizes> {
    const sum = { n: 0, b: 0, entries: 0, refused: 0, least: 0 }
    for (const [shard, base] of this.bases.entries()) {
      if (on !== undefined && shard % this.#clients.length !== on) continue
      await this.#on(shard, async (client) => {
        const [n, b] = await client.hmGet(outboxKeys.size(base), ['n', 'b'])
        sum.n += Number(n)
        sum.b += Number(b)
        sum.least = Math.min(sum.least, Number(n), Number(b))
        sum.entries += await client.xLen(outboxKeys.stream(base))
        sum.refused += await client.xLen(outboxKeys.refused(base))
      })
    }
    return sum
  }

  /** Which token holds each shard. */
  async holders(): Promise<(string | null)[]> {
    const found: (string | null)[] = []
    for (const [shard, base] of this.bases.entries()) {
      await this.#on(shard, async (client) => {
        found[shard] = await client.get(outboxKeys.relay(base))
      })
    }
    return found
  }

  /** Resolves once nothing waits and nothing is counted. */
  async emptied(timeoutMs = 60_000, on?: number): Promise<void> {
    await until(
      async () => {
        const { n, b, entries } = await this.sizes(on)
        return n === 0 && b === 0 && entries === 0
      },
      { timeoutMs, everyMs: 100, what: 'the outbox is empty' },
    )
  }

  /** On the server that has the shard: of several URLs or of a cluster. */
  async #on(shard: number, run: (client: Client) => Promise<void>): Promise<void> {
    const own = this.#clients[shard % this.#clients.length]
    for (const client of own === undefined ? [] : [own, ...this.#clients]) {
      try {
        await run(client)
        return
      } catch (error) {
        if (!(error instanceof Error) || !`${error.message}`.includes('MOVED')) throw error
      }
    }
    throw new Error(`no server has shard ${shard}`)
  }
}

function headOfTold({ eventId, topic, traceparent, sessionId }: Told): string {
  return headOf({
    ...{ eventId, eventType: typeOf(topic), timestamp: Date.now(), nodeId: 'node-1' },
    ...{ topic: topic as 'stream-events', key: sessionId, json: '' },
    ...(traceparent !== undefined && { traceparent }),
  })
}

function typeOf(topic: string): string {
  return topic === topics.chat ? 'CHAT_MESSAGE' : 'CHUNK_RECEIVED'
}

function jsonOf({ eventId, sessionId, topic, seq }: Told, text: string): string {
  const envelope = { eventId, eventType: typeOf(topic), schemaVersion: 1, sessionId, text }
  return `${JSON.stringify(envelope).slice(0, -1)},"epoch":1,"seq":${seq}}`
}

export interface Arrived {
  record: LogRecord
  eventId: string
  sessionId: string
  seq: number
}

/** All records of the product's topics, by topic and partition, in order. */
export async function arrived(eventLog: EventLog): Promise<Arrived[]> {
  const found: Arrived[] = []
  const never = new AbortController().signal
  for (const topic of Object.values(topics)) {
    for (const range of (await eventLog.kept(topic)) ?? []) {
      for await (const page of eventLog.read(range, never)) {
        for (const record of page) {
          const { eventId, sessionId, seq } = JSON.parse(Buffer.from(record.value ?? []).toString())
          found.push({ record, eventId, sessionId, seq })
        }
      }
    }
  }
  return found
}

/** Without what stands a second time; of each topic and session in the order of its log. */
export function firsts(all: readonly Arrived[]): Map<string, Arrived[]> {
  const seen = new Set<string>()
  const rows = new Map<string, Arrived[]>()
  for (const one of all) {
    if (seen.has(one.eventId)) continue
    seen.add(one.eventId)
    const key = `${one.record.topic} ${one.sessionId}`
    const row = rows.get(key)
    if (row === undefined) rows.set(key, [one])
    else row.push(one)
  }
  return rows
}

/** Every event that was told stands in the log, its session's in order; answers how many stand there twice. */
export async function expectComplete(
  eventLog: EventLog,
  outbox: FilledOutbox,
  told: readonly Told[] = outbox.told,
): Promise<number> {
  const all = await arrived(eventLog)
  const rows = firsts(all)
  const found = new Set(all.map(({ eventId }) => eventId))
  const missing = told.filter(({ eventId }) => !found.has(eventId))
  expect(missing).toEqual([])
  for (const [key, row] of rows) {
    const seqs = row.map(({ seq }) => seq)
    expect([key, seqs]).toEqual([key, seqs.toSorted((a, b) => a - b)])
  }
  expect(await outbox.sizes()).toMatchObject({ n: 0, b: 0, entries: 0, least: 0 })
  expect(found.size).toBe(told.length)
  return all.length - found.size
}
