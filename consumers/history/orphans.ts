import type { Database } from '#db/client.ts'
import { findOrphans, type Orphan } from '#db/queries/find-orphans.ts'
import { saveMessages } from '#db/queries/save-messages.ts'
import { saveSessions } from '#db/queries/save-sessions.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import { decodeRecord, eventTypeOf } from '#events/codec.ts'
import { timeOfUuid } from '#runtime/ids.ts'
import type { Log } from '#runtime/log.ts'
import { iso } from '#runtime/time.ts'
import { type Clock, systemClock } from '../clock.ts'

export interface OrphansParts {
  eventLog: EventLog
  database: Database
  log: Log
  signal: AbortSignal
  config: { generationTimeoutMs: number }
  clock?: Clock
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const lookEveryMs = 10 * 60_000
const retryMs = 30_000
// As long as the log keeps what they said.
const lookBackMs = 7 * dayMs
const atATime = 100

/** Looks for orphans now and again, until the signal. */
export async function endOrphans(parts: OrphansParts): Promise<void> {
  const { log, signal, clock = systemClock } = parts
  while (!signal.aborted) {
    let waitMs = lookEveryMs
    try {
      const ended = await endOrphansOnce(parts)
      if (ended > 0) log.warn('answers that never ended are ended as interrupted', { ended })
      if (ended === atATime) waitMs = 0
    } catch (error) {
      if (!signal.aborted) log.warn('orphans are looked for later', { error })
      waitMs = retryMs
    }
    await clock.sleep(waitMs, signal)
  }
}

/**
 * Ends, as `interrupted` at what the log has of them, answers that began longer ago than any may take plus an hour, and of
 * which nobody told an end: the hot state and the owner were lost together. Should an end come after all, its step is
 * higher, so it stands. Answers how many there were.
 */
export async function endOrphansOnce(parts: OrphansParts): Promise<number> {
  const { database, config, clock = systemClock } = parts
  const nowMs = clock.now()
  const beforeMs = nowMs - config.generationTimeoutMs - hourMs
  const window = { fromMs: nowMs - lookBackMs, beforeMs, limit: atATime }
  const orphans = await findOrphans(database.db, window)
  for (const orphan of orphans) await end(orphan, nowMs, parts)
  return orphans.length
}

async function end(orphan: Orphan, nowMs: number, parts: OrphansParts): Promise<void> {
  const { messageId, sessionId, tenantId, userId, epoch, seq } = orphan
  const { text, chunks } = await textOf(orphan, parts)
  const at = iso(timeOfUuid(messageId))
  await parts.database.transaction(async (tx) => {
    await saveSessions(tx, [
      {
        ...{ sessionId, tenantId, userId, createdAt: at, last: { epoch, seq } },
        lastMessage: { at, epoch, seq },
      },
    ])
    await saveMessages(tx, [
      {
        ...{ messageId, sessionId, tenantId, userId, epoch, seq, createdAt: at, chunks },
        conversationId: orphan.conversationId,
        role: 'assistant',
        content: text,
        outcome: 'interrupted',
        length: text.length,
        sha256: new Bun.CryptoHasher('sha256').update(text).digest('hex'),
        error: {
          code: 'unavailable',
          errorType: 'owner_lost',
          message: 'The answer was interrupted.',
        },
        parentMessageId: orphan.userMessageId,
        finishedAt: iso(nowMs),
        ...(orphan.model !== null && { model: orphan.model }),
      },
    ])
  })
}

/** What its chunk events tell, as far as they go on without a gap. */
async function textOf(
  { messageId, topic, partition, offset }: Orphan,
  { eventLog, signal, config }: OrphansParts,
): Promise<{ text: string; chunks: number }> {
  const untilMs = timeOfUuid(messageId) + config.generationTimeoutMs + hourMs
  let text = ''
  let chunks = 0
  const range = { topic, partition, from: offset, to: Number.MAX_SAFE_INTEGER }
  for await (const page of eventLog.read(range, signal)) {
    for (const record of page) {
      if (record.timestamp > untilMs) return { text, chunks }
      if (eventTypeOf(record) !== 'CHUNK_RECEIVED') continue
      const decoded = decodeRecord(record)
      if (decoded.is !== 'event' || decoded.event.eventType !== 'CHUNK_RECEIVED') continue
      const { event } = decoded
      if (event.messageId !== messageId || event.fromChunkIndex !== chunks) continue
      text += event.text ?? ''
      chunks = event.chunkIndex + 1
    }
  }
  return { text, chunks }
}
