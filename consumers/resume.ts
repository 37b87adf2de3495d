import type { EventLog } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import type { Log } from '#runtime/log.ts'
import { systemClock } from './clock.ts'
import type { RunningConsumer } from './run.ts'

// Embedded, a command reaches the running process by the log alone: by the offset of a group that nobody consumes in.
const prefix = 'resume:'
const place = { topic: topics.stream, partition: 0 }
const lookEveryMs = 1_000

/** Whether this is no group of consumers but such a mark. */
export function isResumeMark(group: string): boolean {
  return group.startsWith(prefix)
}

export async function markResume(eventLog: EventLog, group: string, nowMs: number): Promise<void> {
  const mark = `${prefix}${group}`
  const last = await markedResume(eventLog, group)
  await using member = await eventLog.join({ group: mark, topics: [place.topic], from: 'end' })
  await member.commit([{ ...place, offset: Math.max(nowMs, last + 1) }])
}

/** When `markResume` was last called (each time another number); 0: never. */
export async function markedResume(eventLog: EventLog, group: string): Promise<number> {
  const [mark] = await eventLog.committed(`${prefix}${group}`)
  return mark?.offset ?? 0
}

/** Goes on with paused partitions whenever `askedAt` answers another number than before, until the signal. */
export async function heedResume(
  consumer: RunningConsumer,
  { askedAt, log, signal }: { askedAt: () => Promise<number>; log: Log; signal: AbortSignal },
): Promise<void> {
  let seen: number | null = null
  for (; !signal.aborted; await systemClock.sleep(lookEveryMs, signal)) {
    try {
      const asked = await askedAt()
      if (seen !== null && asked !== seen) {
        log.info('asked to go on', { group: consumer.group, partitions: consumer.resume() })
      }
      seen = asked
    } catch (error) {
      log.debug('cannot tell whether to go on', { error })
    }
  }
}
