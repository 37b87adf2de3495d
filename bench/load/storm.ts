import { createHmac } from 'node:crypto'
import { rssKbOf } from '../process.ts'
import { nowMs } from '../source.ts'
import { Latencies } from '../stats.ts'
import { inParallel, loadOptions, report } from './load.ts'
import { Viewer } from './viewers.ts'

// Clients that connect at once, each a user of its own with a token; after some that warm the code.
const warming = 300
const options = loadOptions()
const idleMb = options.pids.map((pid) => rssKbOf(pid) / 1_024)
const run = crypto.randomUUID()
await connect(warming, 20)
await Bun.sleep(1_000)
const { latencies, failed } = await connect(options.clients, options.clients)
report({
  p50: latencies.quantile(0.5),
  p99: latencies.quantile(0.99),
  failed,
  idleMb: Math.max(...idleMb),
})

async function connect(count: number, atOnce: number) {
  const latencies = new Latencies()
  let failed = 0
  const viewers = Array.from({ length: count }, (_, at) => {
    const name = `${run}-${count}-${at}`
    const viewer = new Viewer(options, at, name, () => undefined)
    viewer.token = tokenOf(name)
    return viewer
  })
  await inParallel(count, atOnce, async (at) => {
    const fromMs = nowMs()
    if (await viewers[at]?.connect()) latencies.add(nowMs() - fromMs)
    else failed += 1
  })
  return { latencies, failed }
}

/** HS256. */
function tokenOf(sub: string): string {
  const exp = Math.floor(Date.now() / 1_000) + 3_600
  const parts = [
    { alg: 'HS256', typ: 'JWT' },
    { sub, exp },
  ]
  const signed = parts.map((part) => encoded(JSON.stringify(part))).join('.')
  return `${signed}.${createHmac('sha256', options.secret).update(signed).digest('base64url')}`
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url')
}
