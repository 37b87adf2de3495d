import { openStore } from '#eventlog/sqlite/store.ts'
import { createBackOffice } from '#gateway/embedded/start-back-office.ts'
import { createLog } from '#runtime/log.ts'
import { Teller } from './consumers-events.ts'

// A process of its own, to be killed: tells chats without end while its back office writes them down.

const [dataDir = '', name = ''] = process.argv.slice(2)
const store = openStore({ dataDir })
const log = createLog({ process: 'child', level: 'error' })
const office = createBackOffice({ dataDir, nodeId: 'n1', log, logLevel: 'error' })
office.start()
for (let chat = 0; ; chat += 1) {
  const teller = new Teller(`${name}-${chat}`)
  teller.chat()
  teller.chat({ outcome: chat % 3 === 0 ? 'failed' : 'completed' })
  store.transact(() => store.append(teller.records()))
  if ((await office.dependencies.consumers()).state === 'up') process.stdout.write('.')
  await Bun.sleep(5)
}
