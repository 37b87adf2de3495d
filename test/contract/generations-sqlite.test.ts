import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { sqliteGenerations } from '#gateway/generations/sqlite/sqlite-generations.ts'
import { tempDir } from '../support/temp.ts'
import { atEnd } from '../support/tracker.ts'
import { generationsContract } from './generations.ts'
import { type MakeFixture, optionsDefault } from './generations-kit.ts'

const make: MakeFixture = async (options = {}) => {
  const store = openStore({ dataDir: tempDir() })
  let aheadMs = 0
  const generations = sqliteGenerations(
    store,
    { ...optionsDefault, ...options },
    { now: () => Date.now() + aheadMs, sweepMs: 10 },
  )
  const log = sqliteLog(store)
  atEnd(async () => {
    await generations[Symbol.asyncDispose]()
    await log[Symbol.asyncDispose]()
    store[Symbol.dispose]()
  })
  return {
    generations,
    log,
    async advance(ms) {
      aheadMs += ms
    },
  }
}

generationsContract('SQLite', make)
