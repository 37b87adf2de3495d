import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { untilSignal } from '#runtime/shutdown.ts'
import type { OpenLog } from '../command.ts'
import { dlqCommand } from './command.ts'

const dataDir = process.env['DATA_DIR'] || '.sluice'

function open(): OpenLog {
  if (!existsSync(join(dataDir, 'sluice.sqlite')))
    throw new Error(`there is no Sluice in ${dataDir}`)
  const store = openStore({ dataDir, isOwner: false })
  const eventLog = sqliteLog(store)
  return {
    eventLog,
    async [Symbol.asyncDispose]() {
      await eventLog[Symbol.asyncDispose]()
      store[Symbol.dispose]()
    },
  }
}

process.exitCode = await dlqCommand({
  args: process.argv.slice(2),
  open,
  signal: untilSignal(),
  terminal: {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    isTty: process.stdout.isTTY === true,
    isErrTty: process.stderr.isTTY === true,
  },
})
