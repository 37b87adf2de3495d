import { addOffsets } from '#db/queries/add-offsets.ts'
import { moveOffset } from '#db/queries/move-offset.ts'
import { remoteDatabase } from '#db/remote.ts'

/** Counts up in the database of a thread and prints each number once it is acknowledged, until it is killed. */
const [dataDir = ''] = process.argv.slice(2)
const worker = new Worker(new URL('./database-remote-worker.ts', import.meta.url))
worker.postMessage({ open: dataDir })
const { db } = remoteDatabase(worker, { readyWithinMs: 60_000 })
const place = { topic: 't', partition: 0 }
await addOffsets(db, 'killed', [{ ...place, offset: 0 }])
for (let next = 1; ; next += 1) {
  await moveOffset(db, { groupId: 'killed', ...place, first: next, next })
  process.stdout.write(`${next}\n`)
}
