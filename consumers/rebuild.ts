import type { Database, Db } from '#db/client.ts'
import { addConsumed } from '#db/queries/add-consumed.ts'
import {
  beginRebuild,
  finishRebuild,
  inSavepoint,
  lockGroup,
  type Projection,
  type WholeSince,
} from '#db/queries/rebuild.ts'
import type { EventLog, Kept, LogRecord, Partition } from '#eventlog/event-log.ts'
import { retentionMsOf, topics } from '#events/topics.ts'
import type { Log } from '#runtime/log.ts'
import { iso } from '#runtime/time.ts'
import { isAway } from './away.ts'
import type { ConsumedEvent, ConsumerDefinition } from './define.ts'
import { isPassedBy, readRecord, type Wants, wantsOf } from './read-record.ts'

export interface RebuildParts {
  eventLog: EventLog
  database: Database
  log: Log
  /** Aborted: all stays as it was. */
  signal: AbortSignal
  now(): number
  /** Records read, of so many as there were when it began. */
  progress(done: number, all: number): void
}

export interface Rebuilt {
  group: string
  /** Read. */
  records: number
  /** Handled. */
  events: number
  /** Broken ones, and those that could not be handled. */
  skipped: number
  durationMs: number
}

const batchSize = 500
const minuteMs = 60_000

/**
 * Makes a projection's tables anew from the log, in one transaction that also sets its group's offsets: readers see the
 * old until it ends. The group's members may run; they wait while the last records are read, then go on behind them.
 * Rejects, with everything as it was, when something that it needs is away.
 */
export async function rebuild(
  definition: ConsumerDefinition,
  projection: Projection,
  parts: RebuildParts,
): Promise<Rebuilt> {
  const { database, eventLog, now } = parts
  const startedMs = now()
  const run = new Rebuild(definition, parts)
  await database.transaction(async (tx) => {
    await beginRebuild(tx, projection)
    const first = await keptOf(definition, eventLog)
    const whole = await wholeSince(first, parts)
    await run.readTo(first, tx)
    await lockGroup(tx, definition.groupId, first)
    const last = await keptOf(definition, eventLog)
    await run.readTo(last, tx)
    const offsets = last.map(({ topic, partition, to }) => ({ topic, partition, offset: to }))
    await finishRebuild(tx, projection, { groupId: definition.groupId, whole, offsets })
  })
  const { records, events, skipped } = run
  return { group: definition.groupId, records, events, skipped, durationMs: now() - startedMs }
}

class Rebuild {
  readonly #definition: ConsumerDefinition
  readonly #parts: RebuildParts
  readonly #wants: Wants
  readonly #positions = new Map<string, number>()
  records = 0
  events = 0
  skipped = 0

  constructor(definition: ConsumerDefinition, parts: RebuildParts) {
    this.#definition = definition
    this.#parts = parts
    this.#wants = wantsOf(definition)
  }

  /** Goes on in every partition up to its end as it is told. */
  async readTo(ends: readonly Kept[], tx: Db): Promise<void> {
    const { eventLog, signal, progress } = this.#parts
    const all = this.records + ends.reduce((sum, end) => sum + end.to - this.#positionOf(end), 0)
    for (const end of ends) {
      const { topic, partition, to } = end
      const range = { topic, partition, from: this.#positionOf(end), to }
      for await (const page of eventLog.read(range, signal)) {
        for (let at = 0; at < page.length; at += batchSize) {
          await this.#handle(this.#eventsOf(page.slice(at, at + batchSize)), tx)
        }
        this.records += page.length
        progress(this.records, all)
      }
      this.#positions.set(nameOf(end), to)
    }
    signal.throwIfAborted()
  }

  #positionOf(kept: Kept): number {
    return Math.max(kept.from, this.#positions.get(nameOf(kept)) ?? 0)
  }

  #eventsOf(records: readonly LogRecord[]): ConsumedEvent[] {
    const { groupId } = this.#definition
    return records.flatMap((record) => {
      if (isPassedBy(record, groupId, this.#wants)) return []
      const reading = readRecord(record, true)
      if (reading.is === 'bad') {
        // It stands in the dead-letter topic since it was first read.
        this.skipped += 1
        return []
      }
      return this.#wants(reading.consumed.event.eventType) ? [reading.consumed] : []
    })
  }

  async #handle(all: readonly ConsumedEvent[], tx: Db): Promise<void> {
    if (all.length === 0) return
    const { log, signal } = this.#parts
    const { handle, once = false, groupId } = this.#definition
    try {
      await inSavepoint(tx, async () => {
        const events = once ? await onlyNew(tx, groupId, all) : [...all]
        if (events.length === 0) return
        const afterwards = () => undefined
        await handle(events, { signal, attempt: 1, log, transaction: tx, afterwards })
      })
      this.events += all.length
    } catch (error) {
      if (isAway(error) || signal.aborted) throw error
      const [first] = all
      if (all.length > 1) {
        const middle = Math.ceil(all.length / 2)
        await this.#handle(all.slice(0, middle), tx)
        await this.#handle(all.slice(middle), tx)
        return
      }
      this.skipped += 1
      log.warn('an event cannot be handled', { ...first, event: undefined, error })
    }
  }
}

async function onlyNew(
  tx: Db,
  groupId: string,
  events: readonly ConsumedEvent[],
): Promise<ConsumedEvent[]> {
  const ids = events.map(({ event }) => event.eventId)
  const added = new Set(await addConsumed(tx, groupId, ids))
  return events.filter(({ event }) => added.delete(event.eventId))
}

async function keptOf({ topics: names }: ConsumerDefinition, eventLog: EventLog): Promise<Kept[]> {
  const kept = await Promise.all(names.map((topic) => eventLog.kept(topic)))
  const missing = names.filter((_, at) => kept[at] === null)
  if (missing.length > 0) throw new Error(`there is no topic ${missing.join(', ')}`)
  return kept.flatMap((ranges) => ranges ?? [])
}

async function wholeSince(kept: readonly Kept[], parts: RebuildParts): Promise<WholeSince> {
  const since = async (topic: string) => {
    const ranges = kept.filter((range) => range.topic === topic && range.from > 0)
    const times = await Promise.all(ranges.map((range) => firstKeptMs(range, parts)))
    if (times.length === 0) return null
    return iso(Math.ceil(Math.max(...times) / minuteMs) * minuteMs)
  }
  return { stream: await since(topics.stream), chat: await since(topics.chat) }
}

async function firstKeptMs(range: Kept, { eventLog, signal, now }: RebuildParts): Promise<number> {
  for await (const [first] of eventLog.read({ ...range, to: range.from + 1 }, signal)) {
    if (first !== undefined) return first.timestamp
  }
  // Whatever was in it has been deleted for its age.
  return now() - retentionMsOf(range.topic)
}

function nameOf({ topic, partition }: Partition): string {
  return `${topic}/${partition}`
}
