import { writeSync } from 'node:fs'
import { sqliteLog } from '#eventlog/sqlite/sqlite-log.ts'
import { openStore } from '#eventlog/sqlite/store.ts'

// A process of its own with a store, told by its arguments what to do; it says what it did line by line.
const [dataDir = '', task = ''] = process.argv.slice(2)
const say = (line: string) => writeSync(1, `${line}\n`)

const log = sqliteLog(openOrExit())
// What nobody refers to any more goes now; the folder's lock must not be among it.
for (let round = 0; round < 3 && task === 'hold'; round += 1) {
  await Bun.sleep(1)
  Bun.gc(true)
}
say('open')
if (task === 'write') {
  for (let made = 0; ; made += 20) {
    const records = Array.from({ length: 20 }, (_, at) => ({
      topic: 'stream-events',
      partition: 0,
      key: null,
      value: new TextEncoder().encode(`${made + at} ${'x'.repeat((made + at) % 3_000)}`),
      headers: [],
      timestamp: made + at,
    }))
    await log.produce(records)
    say(String(made + 20))
  }
}
// Holds the folder until it is killed.
setInterval(() => undefined, 60_000)

function openOrExit() {
  try {
    return openStore({ dataDir })
  } catch (error) {
    say(error instanceof Error ? `${error.name}: ${error.message}` : String(error))
    process.exit(1)
  }
}
