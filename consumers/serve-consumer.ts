import type { Database } from '#db/client.ts'
import { keepPartitions } from '#db/partitions.ts'
import { resumeAskedAt } from '#db/queries/resume-asked.ts'
import type { EventLog } from '#eventlog/event-log.ts'
import { type Dependencies, sayReady, serveHealth } from '#runtime/health.ts'
import type { Log } from '#runtime/log.ts'
import { systemClock } from './clock.ts'
import type { ConsumerConfig } from './config.ts'
import type { ConsumerDefinition } from './define.ts'
import { heedResume } from './resume.ts'
import { runConsumer } from './run.ts'

export interface ServeConsumerParts {
  config: Pick<ConsumerConfig, 'nodeId' | 'host' | 'port'>
  eventLog: EventLog
  /** Needed by a definition with `once` or `transactional`. */
  database?: Database
  /** When `bun run dlq resume` last asked its group to go on; by default the database tells. */
  resumeAskedAt?: () => Promise<number>
  /** What else it cannot work without, for its health. */
  dependencies?: Dependencies
  log: Log
  /** Abort it to drain and end. */
  signal: AbortSignal
}

const upkeepEveryMs = 3_600_000
const upkeepRetryMs = 10_000

/** A consumer as a process: consumes, serves its health where a port is set, says when it is ready, until the signal. */
export async function serveConsumer(
  definition: ConsumerDefinition,
  parts: ServeConsumerParts,
): Promise<void> {
  const { config, eventLog, database, log, signal } = parts
  const consumer = runConsumer(definition, {
    ...{ eventLog, logger: log, signal },
    ...(database && { database }),
  })
  const dependencies = { ...parts.dependencies, consumer: () => consumer.health() }
  const { nodeId, host, port } = config
  await using listening =
    port === null ? null : serveHealth(host, port, { nodeId, dependencies, signal })
  const told = { ...(listening !== null && { url: listening.url }), group: consumer.group }
  void sayReady(dependencies, { log, told, signal })
  const ofTable = database && (() => resumeAskedAt(database.db, consumer.group))
  const askedAt = parts.resumeAskedAt ?? ofTable
  if (askedAt !== undefined) void heedResume(consumer, { askedAt, log, signal })
  await consumer.finished
}

/** Keeps the partitions of tables as they should be, until the signal; says so when rows stand outside of them. */
export async function keepTables(parts: {
  config: Pick<ConsumerConfig, 'partitionBy' | 'auditRetentionMs'>
  database: Database
  log: Log
  signal: AbortSignal
}): Promise<void> {
  const { config, database, log, signal } = parts
  const { partitionBy: by, auditRetentionMs } = config
  while (!signal.aborted) {
    let waitMs = upkeepEveryMs
    try {
      const { stray } = await keepPartitions(database, {
        ...{ nowMs: Date.now(), by },
        ...(auditRetentionMs !== null && { auditRetentionMs }),
      })
      if (stray.length > 0) log.error('rows stand in no partition of their own', { tables: stray })
    } catch (error) {
      log.warn('upkeep failed', { error })
      waitMs = upkeepRetryMs
    }
    await systemClock.sleep(waitMs, signal)
  }
}
