import { hostname } from 'node:os'
import { openStore } from '#eventlog/sqlite/store.ts'
import { createLog } from '#runtime/log.ts'
import { aborted, untilSignal } from '#runtime/shutdown.ts'
import { startTelemetry } from '#runtime/telemetry.ts'
import { postgresArchive } from '../archive/postgres-archive.ts'
import { createGateway } from '../gateway.ts'
import { sqliteGenerations } from '../generations/sqlite/sqlite-generations.ts'
import { memoryLimits } from '../limits/memory-limits.ts'
import { configuredModel } from '../models/configured-model.ts'
import { embeddedConfig } from './config.ts'
import { createBackOffice } from './start-back-office.ts'

// `bun start`: everything in one process, nothing to install.
const log = createLog({ process: 'start' })

async function run(): Promise<void> {
  const { gateway: config, partitionBy, auditRetentionMs } = embeddedConfig(process.env, hostname())
  const shutdown = untilSignal()
  const telemetry = await startTelemetry({ process: 'start', env: process.env })
  const { dataDir, nodeId } = config
  using store = openStore({ dataDir })
  await using generations = sqliteGenerations(store, config, { seesAll: true })
  await using office = createBackOffice({
    ...{ dataDir, nodeId, log, env: process.env, partitionBy },
    ...(auditRetentionMs !== null && { auditRetentionMs }),
  })
  const { database } = office
  await using gateway = createGateway({
    ...{ config, generations, database, log },
    archive: postgresArchive(database),
    limits: memoryLimits(config.limits, Date.now),
    model: await configuredModel(config.model),
    forwardReplay: office.forwardReplay,
    dependencies: office.dependencies,
  })
  log.info('ready', { url: gateway.url })
  if (process.stderr.isTTY) process.stderr.write(`\n  Sluice is at ${gateway.url}\n\n`)
  office.start()
  await aborted(shutdown)
  log.info('draining')
  await gateway.drain()
  await telemetry.shutdown()
}

try {
  await run()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
