import type { KafkaLog } from '#eventlog/kafka/kafka-log.ts'
import { type Dependencies, sayReady, serveHealth } from '#runtime/health.ts'
import { randomToken } from '#runtime/ids.ts'
import type { Log } from '#runtime/log.ts'
import { sleep } from '#runtime/sleep.ts'
import { outboxGauges } from '../real/outbox-gauges.ts'
import type { RelayConfig } from './config.ts'
import { relayMetrics } from './metrics.ts'
import type { Outbox } from './outbox.ts'
import { Relay } from './relay.ts'
import { topicsThere } from './topics-there.ts'

export interface ServeRelayParts {
  config: Pick<RelayConfig, 'nodeId' | 'host' | 'port'>
  outbox: Outbox
  eventLog: Pick<KafkaLog, 'produceEach' | 'purge' | 'topics' | 'health'>
  log: Log
  /** Abort it to drain and end. */
  signal: AbortSignal
}

const lookMs = 1_000

/** A relay as a process: relays, serves its health where a port is set, says when it is ready, until the signal. */
export async function serveRelay(parts: ServeRelayParts): Promise<void> {
  const { config, outbox, eventLog, log, signal } = parts
  const token = randomToken()
  const metrics = relayMetrics()
  const relay = new Relay({ outbox, publisher: eventLog, metrics, token, log, signal })
  const dependencies: Dependencies = {
    redis: async () => outbox.health(),
    kafka: () => eventLog.health(),
    topics: topicsThere(eventLog, { log, signal }),
    relay: async () => relay.health(),
  }
  const { nodeId, host, port } = config
  await using listening =
    port === null ? null : serveHealth(host, port, { nodeId, dependencies, signal })
  void sayReady(dependencies, {
    ...{ log, signal },
    told: listening === null ? {} : { url: listening.url },
  })
  const ended = new AbortController()
  const backlog = { events: 0, ageMs: 0 }
  using _gauges = outboxGauges(backlog)
  const looking = keepLooking(relay, { outbox, backlog, log, signal: ended.signal })
  await relay.run()
  ended.abort()
  await looking
}

interface Looking {
  outbox: Outbox
  backlog: { events: number; ageMs: number }
  log: Log
  signal: AbortSignal
}

/** What waits in the shards of this relay, for metrics and health. */
async function keepLooking(relay: Relay, { outbox, backlog, log, signal }: Looking): Promise<void> {
  while (!signal.aborted) {
    try {
      const found = await outbox.backlog(relay.held)
      backlog.events = found.reduce((sum, { events }) => sum + events, 0)
      backlog.ageMs = found.reduce((most, { ageMs }) => Math.max(most, ageMs), 0)
      relay.refused = found.reduce((sum, { refused }) => sum + refused, 0)
    } catch (error) {
      log.debug('the outbox is out of reach', { error })
    }
    await sleep(lookMs, signal)
  }
}
