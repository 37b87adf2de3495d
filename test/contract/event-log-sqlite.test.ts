import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'
import { tempDir } from '../support/temp.ts'
import { opened } from '../support/tracker.ts'
import { eventLogContract } from './event-log.ts'

eventLogContract('sqlite', async () => {
  const store = openStore({ dataDir: tempDir() })
  const log = sqliteLog(store)
  const closed = opened('sqlite event log')
  let made = 0
  return {
    log,
    async makeTopic(partitions) {
      made += 1
      const name = `topic-${made}`
      store.makeTopic(name, partitions)
      return name
    },
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]()
      store[Symbol.dispose]()
      closed()
    },
  }
})
