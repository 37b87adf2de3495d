import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStore } from '#eventlog/sqlite/store.ts'
import { postgresArchive } from '#gateway/archive/postgres-archive.ts'
import { gatewayConfig } from '#gateway/config.ts'
import { createBackOffice } from '#gateway/embedded/start-back-office.ts'
import { createGateway } from '#gateway/gateway.ts'
import { sqliteGenerations } from '#gateway/generations/sqlite/sqlite-generations.ts'
import { memoryLimits } from '#gateway/limits/memory-limits.ts'
import { createLog } from '#runtime/log.ts'
import { sourceModel, unlimited } from '../source-model.ts'

// The embedded product as `bun start` makes it, its back office included, with the bench's source for a model.
const model = sourceModel(process.env)
const dataDir = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
process.on('SIGTERM', () => process.exit(0))
process.on('exit', () => rmSync(dataDir, { recursive: true, force: true }))
const { AUTH, JWT_SECRET } = process.env
const door = { AUTH, JWT_SECRET, HOST: '127.0.0.1' }
const config = gatewayConfig({ PORT: '0', DATA_DIR: dataDir, ...door, ...unlimited }, 'bench')
const log = createLog({ process: 'bench', level: 'warn' })
const store = openStore({ dataDir })
const office = createBackOffice({ dataDir, nodeId: config.nodeId, log, env: {} })
const gateway = createGateway({
  config,
  generations: sqliteGenerations(store, config, { seesAll: true }),
  archive: postgresArchive(office.database),
  database: office.database,
  limits: memoryLimits(config.limits, Date.now),
  model,
  forwardReplay: office.forwardReplay,
  log,
})
// A new Postgres grows to a gigabyte and gives it back bit by bit, among which no connection's memory can be seen.
if (process.env['BENCH_LOAD'] !== 'idle') {
  office.start()
  // A new Postgres takes seconds of a core: that is a start's cost, not a token's.
  while ((await office.dependencies.consumers()).state !== 'up') await Bun.sleep(50)
}
process.stdout.write(`${JSON.stringify({ msg: 'ready', url: gateway.url })}\n`)
