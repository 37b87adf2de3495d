import type { TopicInfo } from '#eventlog/event-log.ts'
import { topics } from '#events/topics.ts'
import type { DependencyHealth } from '#runtime/health.ts'
import type { Log } from '#runtime/log.ts'
import { sleep } from '#runtime/sleep.ts'

const lookMs = 1_000

/** Whether the topics were there once; says what is missing, and how it is made, until then. */
export function topicsThere(
  eventLog: { topics(): Promise<TopicInfo[]> },
  { log, signal }: { log: Log; signal: AbortSignal },
): () => Promise<DependencyHealth> {
  let reason: string | null = 'the topics are not known yet'
  void (async () => {
    while (!signal.aborted && reason !== null) {
      try {
        const there = new Set((await eventLog.topics()).map(({ topic }) => topic))
        const missing = Object.values(topics).filter((topic) => !there.has(topic))
        const found = missing.length > 0 ? `no topic ${missing.join(', ')}: bun run topics` : null
        if (found !== null && found !== reason) log.warn('topics are missing', { reason: found })
        reason = found
      } catch (error) {
        // Kafka is away, as its health says.
        log.debug('the topics cannot be asked for', { error })
      }
      if (reason !== null) await sleep(lookMs, signal)
    }
  })()
  return async () => (reason === null ? { state: 'up' } : { state: 'down', reason })
}
