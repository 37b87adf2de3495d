import type { Database } from '#db/client.ts'
import type { EventLog, Kept } from '#eventlog/event-log.ts'
import { Erasures } from './erasures.ts'
import type { Range } from './merge.ts'
import type { Replay } from './replay.ts'
import { ReplayError } from './replay-error.ts'
import type { ReplayRequest } from './replay-request.ts'
import { sessionReplay } from './session-replay.ts'
import { rangesAfter, rangesOf } from './topic-ranges.ts'
import { type Filter, type MissingOffsets, topicReplay } from './topic-replay.ts'

/** Who asks, authorised to replay: sees the events of this tenant. */
export interface Replayer {
  userId: string
  tenantId: string
  roles?: readonly string[]
}

export interface OpenInput {
  eventLog: EventLog
  database: Database
  who: Replayer
  signal: AbortSignal
}

type Topical = Exclude<ReplayRequest, { of: 'session' }>

// Slow ones look again at each event whether its text may still be shown.
const lotFast = 500
// The tenant of those who run the service: what names no tenant is theirs to see.
const operatorTenant = 'default'

/** Throws `not_found` for a topic or partition that isn't there and `gone` when nothing of the range is left. */
export async function checkTopic(request: ReplayRequest, eventLog: EventLog): Promise<void> {
  if (request.of === 'session') return
  await keptOf(request, eventLog)
}

/** A replay up to the ends as they are now. Throws what `checkTopic` does; `not_found` for an unknown session. */
export async function openReplay(request: ReplayRequest, input: OpenInput): Promise<Replay> {
  const { eventLog, database, who, signal } = input
  const lot = request.format === 'sse' && request.speed > 0 ? 1 : lotFast
  if (request.of === 'session') {
    const { sessionId, after } = request
    const { tenantId } = who
    const asked = { sessionId, tenantId, after: after?.id ?? null, lot }
    return sessionReplay({ eventLog, database, signal, ...asked })
  }
  const kept = await keptOf(request, eventLog)
  const { ranges, missing } = await rangesFor(request, kept, input)
  const erasures = await Erasures.read(eventLog, database, signal)
  const filter = filterOf(request, who)
  return topicReplay({ eventLog, erasures, ranges, kept, missing, filter, lot, signal })
}

async function keptOf(request: Topical, eventLog: EventLog): Promise<Kept[]> {
  const all = await eventLog.kept(request.topic)
  if (all === null) throw new ReplayError('not_found', 'no such topic')
  if (request.of === 'topic') return all
  const range = all.find(({ partition }) => partition === request.partition)
  if (range === undefined) throw new ReplayError('not_found', 'no such partition')
  const { from, to } = request
  const end = Math.min(to ?? range.to, range.to)
  const isGone = from !== null && from < range.from && from < end && end <= range.from
  if (isGone) {
    const available = { from: range.from, to: range.to }
    throw new ReplayError('gone', 'nothing of these offsets is left', { available })
  }
  return [range]
}

async function rangesFor(request: Topical, kept: Kept[], { eventLog, signal }: OpenInput) {
  const { topic } = request
  if (request.of === 'partition') {
    const [range] = kept
    if (range === undefined) return { ranges: [], missing: [] }
    return partitionRange(request, range)
  }
  const ranges = await rangesOf(eventLog, topic, kept, request.window)
  const missing = await missingOf(request, kept, { eventLog, signal })
  if (request.after === null) return { ranges, missing }
  const { cursor } = request.after
  return { ranges: await rangesAfter(eventLog, topic, ranges, cursor, signal), missing }
}

function partitionRange(
  request: Extract<ReplayRequest, { of: 'partition' }>,
  kept: Kept,
): { ranges: Range[]; missing: MissingOffsets[] } {
  const { topic, partition, after } = request
  const isOurs = after !== null && after.cursor.partition === partition
  const first = isOurs ? after.cursor.offset + 1 : (request.from ?? kept.from)
  const to = Math.min(request.to ?? kept.to, kept.to)
  const from = Math.min(Math.max(first, request.from ?? 0, kept.from), Math.max(to, kept.from))
  const missing = first < kept.from && first < to ? [{ partition, from: first, to: kept.from }] : []
  return { ranges: [{ topic, partition, from, to: Math.max(from, to) }], missing }
}

/** What retention has deleted of the window, as far as can be told: something was there before the first that is kept. */
async function missingOf(
  request: Extract<ReplayRequest, { of: 'topic' }>,
  kept: Kept[],
  { eventLog, signal }: Pick<OpenInput, 'eventLog' | 'signal'>,
): Promise<MissingOffsets[]> {
  const missing: MissingOffsets[] = []
  for (const range of kept) {
    if (range.from === 0) continue
    const { fromMs } = request.window
    const firstMs = fromMs === null ? null : await firstTime(eventLog, range, signal)
    const isWhole = fromMs !== null && firstMs !== null && firstMs <= fromMs
    if (!isWhole) missing.push({ partition: range.partition, from: 0, to: range.from })
  }
  return missing
}

async function firstTime(
  eventLog: EventLog,
  { topic, partition, from, to }: Kept,
  signal: AbortSignal,
): Promise<number | null> {
  const range = { topic, partition, from, to: Math.min(to, from + 1) }
  for await (const page of eventLog.read(range, signal)) {
    const [first] = page
    if (first !== undefined) return first.timestamp
  }
  return null
}

function filterOf(request: Topical, who: Replayer): Filter {
  const { tenantId, roles = [] } = who
  const isOperator = tenantId === operatorTenant || roles.includes('admin')
  const everything = { eventType: null, sessionId: null, userId: null }
  const window = { fromMs: null, toMs: null }
  if (request.of === 'partition') return { ...everything, window, tenantId, isOperator }
  const { eventType, sessionId, userId } = request
  return { window: request.window, eventType, sessionId, userId, tenantId, isOperator }
}
