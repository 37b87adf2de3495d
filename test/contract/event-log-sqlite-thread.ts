import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'

// A worker thread as the back office is one: consumes, commits and parks, and tells what it has read.
const dataDir = process.argv[2] ?? ''
const store = openStore({ dataDir, isOwner: false })
const log = sqliteLog(store)
const never = new AbortController().signal

const member = await log.join({ group: 'thread', topics: ['stream-events'], from: 'beginning' })
postMessage('ready')
for (;;) {
  for (const { topic, partition, records } of await member.poll(100, never)) {
    postMessage(records.map(({ value }) => Number(new TextDecoder().decode(value ?? undefined))))
    const next = (records.at(-1)?.offset ?? 0) + 1
    await member.commit([{ topic, partition, offset: next }])
    await log.produce(
      records.slice(0, 1).map((record) => ({ ...record, topic: `${topic}.thread.dlq` })),
    )
  }
  store.checkpoint()
}
