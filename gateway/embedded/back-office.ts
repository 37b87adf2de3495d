import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { analyticsConsumer } from '#consumers/analytics/handle.ts'
import { auditConsumer } from '#consumers/audit/handle.ts'
import { systemClock } from '#consumers/clock.ts'
import { historyConsumer } from '#consumers/history/handle.ts'
import { type ReplayApp, replayApp } from '#consumers/replay/app.ts'
import type { Replayer } from '#consumers/replay/open-replay.ts'
import { heedResume, markedResume } from '#consumers/resume.ts'
import { type ConsumerHealth, type RunningConsumer, runConsumer } from '#consumers/run.ts'
import { embeddedTransactions, Transactions } from '#consumers/transactions.ts'
import { migrate } from '#db/migrate.ts'
import { type KeptPartitions, keepPartitions } from '#db/partitions.ts'
import { pgliteDatabase } from '#db/pglite.ts'
import { hostDatabase } from '#db/remote-host.ts'
import type { Port } from '#db/remote-messages.ts'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore, type Store } from '#eventlog/sqlite/store.ts'
import { createLog, type Log } from '#runtime/log.ts'
import { startTelemetry } from '#runtime/telemetry.ts'
import { letOthersFirst } from '#runtime/thread-priority.ts'
import { ContractError } from '../chat/errors.ts'
import {
  type BackOfficeConfig,
  type FromBackOffice,
  messageOf,
  secretHeader,
  type ToBackOffice,
  tell,
  whoHeader,
} from './back-office-messages.ts'

// The worker's entry, and the one file of the gateway that knows consumers.

const healthEveryMs = 2_000
// Somebody waits to hear that all is well.
const troubleEveryMs = 250
const checkpointEveryMs = 1_000
const upkeepEveryMs = 3_600_000
const trimPauseMs = 20

const main = globalThis as unknown as Port
const stopping = new AbortController()

main.addEventListener('message', ({ data }) => {
  const message = messageOf<ToBackOffice>(data)
  if (message === null) return
  if (message.is === 'stop') stopping.abort()
  else void live(message.config)
})

async function live(config: BackOfficeConfig): Promise<void> {
  const log = createLog({ process: 'start', level: config.logLevel }).child({ part: 'back-office' })
  try {
    await run(config, log)
    tell(main, { is: 'stopped' } satisfies FromBackOffice)
  } catch (error) {
    log.error('the back office cannot go on', { error })
    tell(main, { is: 'failed', message: error instanceof Error ? error.message : String(error) })
    // Whatever is open goes with the thread; the main thread starts another.
    process.exit(1)
  }
}

async function run(config: BackOfficeConfig, log: Log): Promise<void> {
  const { signal } = stopping
  const telemetry = await startTelemetry({ process: 'start', env: config.env })
  using store = openStore({ dataDir: config.dataDir, isOwner: false })
  await using eventLog = sqliteLog(store)
  if (signal.aborted) return
  await using database = await pgliteDatabase(join(config.dataDir, 'postgres'))
  // Whatever fails from here on, consumers must not wait for a database that is about to close.
  using _consumers = { [Symbol.dispose]: () => stopping.abort() }
  const partitions = () => ({
    nowMs: Date.now(),
    by: config.partitionBy,
    ...(config.auditRetentionMs !== undefined && { auditRetentionMs: config.auditRetentionMs }),
  })
  alarm(await migrate(database, partitions()), log)
  const unhost = hostDatabase(main, database.run)
  const transactions = new Transactions(database, embeddedTransactions)
  const definitions = [auditConsumer({ log }), historyConsumer(), analyticsConsumer()]
  const consumers = definitions.map((definition) =>
    runConsumer(definition, { eventLog, database, transactions, logger: log, signal }),
  )
  for (const consumer of consumers) {
    const askedAt = () => markedResume(eventLog, consumer.group)
    void heedResume(consumer, { askedAt, log, signal })
  }
  const { nodeId } = config
  const authorize = (request: Request) => whoOf(request, config.secret)
  const server = serve(replayApp({ eventLog, database, authorize, log, nodeId }), config.socketPath)
  const timers = [
    setInterval(() => {
      void attempt(log, 'checkpoint', () => store.checkpoint())
    }, checkpointEveryMs),
    setInterval(() => {
      void attempt(log, 'trimming the log', () => trim(store))
      void attempt(log, 'upkeep', async () =>
        alarm(await keepPartitions(database, partitions()), log),
      )
    }, upkeepEveryMs),
  ]
  // A process that never runs for an hour must trim, too.
  void attempt(log, 'trimming the log', () => trim(store))
  // Not while it starts: a start must not wait for whatever else the machine does.
  letOthersFirst()
  tell(main, { is: 'ready' })
  await Promise.all([
    tellHealthRegularly(consumers, log),
    ...consumers.map(({ finished }) => finished),
  ])
  for (const timer of timers) clearInterval(timer)
  await server.stop(true)
  unhost('is stopped')
  await telemetry.shutdown()
}

function serve(app: ReplayApp, unix: string): Bun.Server<undefined> {
  // Of a thread that ended by itself.
  rmSync(unix, { force: true })
  // A paced replay may be silent for as long as the original was. The types forbid both at once, Bun doesn't; and
  // `server.timeout` does nothing on a Unix socket.
  const options = { unix, idleTimeout: 0, fetch: (request: Request) => app.fetch(request) }
  return Bun.serve(options as unknown as Bun.Serve.Options<undefined>)
}

/** The gateway has authorised whoever it speaks for. */
async function whoOf(request: Request, secret: string): Promise<Replayer> {
  if (request.headers.get(secretHeader) !== secret) {
    throw new ContractError('not_authenticated', 'Only the gateway may ask.')
  }
  const who = Buffer.from(request.headers.get(whoHeader) ?? '', 'base64url').toString()
  return JSON.parse(who) as Replayer
}

async function tellHealthRegularly(consumers: readonly RunningConsumer[], log: Log): Promise<void> {
  while (!stopping.signal.aborted) {
    const isWell = await attempt(log, 'telling health', () => tellHealth(consumers))
    await systemClock.sleep(isWell === true ? healthEveryMs : troubleEveryMs, stopping.signal)
  }
}

/** Answers whether all of them are up. */
async function tellHealth(consumers: readonly RunningConsumer[]): Promise<boolean> {
  const groups: Record<string, ConsumerHealth> = {}
  for (const consumer of consumers) {
    groups[consumer.group] = await consumer.health()
  }
  tell(main, { is: 'health', groups })
  return Object.values(groups).every(({ state }) => state === 'up')
}

/** Deletes what is too old from the log, a little at a time. */
async function trim(store: Store): Promise<void> {
  while (!stopping.signal.aborted && store.trim(Date.now()) > 0) await Bun.sleep(trimPauseMs)
}

function alarm({ stray }: KeptPartitions, log: Log): void {
  if (stray.length > 0) log.error('rows stand in no partition of their own', { tables: stray })
}

/** What comes again soon, so that its failure is only told. */
async function attempt<T>(log: Log, what: string, run: () => T | Promise<T>): Promise<T | null> {
  try {
    return await run()
  } catch (error) {
    log.warn(`${what} failed`, { error })
    return null
  }
}
