import { migrate } from '#db/migrate.ts'
import { pgliteDatabase } from '#db/pglite.ts'
import { hostDatabase } from '#db/remote-host.ts'

/** A thread that holds PGlite in the folder that it is told, as the product's does. */
declare const self: Worker

self.addEventListener('message', ({ data }: MessageEvent) => {
  if (typeof data === 'object' && data !== null && 'open' in data) void begin(String(data.open))
})

async function begin(dataDir: string): Promise<void> {
  const database = await pgliteDatabase(dataDir)
  await migrate(database, { nowMs: Date.now() })
  const unhost = hostDatabase(self, database.run)
  self.addEventListener('message', ({ data }: MessageEvent) => {
    if (data === 'stop') void stop()
  })
  const stop = async () => {
    unhost('is stopped')
    await database[Symbol.asyncDispose]()
    self.postMessage('stopped')
  }
}
