import { nowMs } from '../source.ts'
import { Latencies } from '../stats.ts'
import { inParallel, loadOptions, report, untilTrue } from './load.ts'
import { Viewer } from './viewers.ts'

// One of two nodes is killed in the middle of the answers: each node makes half of them, and half of each half is
// watched on the other node. Whoever was connected to the dead one comes back on the living one.
const firstRetryMs = 500
const retryMs = 100
const interruptedMs = 20_000
const options = loadOptions()
const run = crypto.randomUUID()
const clients = Array.from({ length: options.clients }, (_, at) => {
  const viewer = new Viewer(options, at, `${run}-${at}`, () => undefined)
  const isAskedElsewhere = at % 4 >= 2
  return {
    viewer,
    isOnDead: at % 2 === 0,
    isAskedElsewhere,
    isOfDead: at % 4 === 0 || at % 4 === 3,
  }
})
await inParallel(clients.length, 100, async (at) => void (await clients[at]?.viewer.connect()))
await inParallel(clients.length, 20, async (at) => {
  const client = clients[at]
  if (client?.isAskedElsewhere) await client.viewer.askElsewhere()
  else client?.viewer.ask()
})
await Bun.sleep(1_500)
const [deadPid = 0] = options.pids
process.kill(deadPid, 'SIGKILL')
const killedMs = nowMs()
const back = new Latencies()
await Promise.all(
  clients
    .filter(({ isOnDead }) => isOnDead)
    .map(async ({ viewer }) => {
      await Bun.sleep(Math.random() * firstRetryMs)
      const fromMs = nowMs()
      while (!(await viewer.connect(1))) await Bun.sleep(retryMs)
      back.add(nowMs() - fromMs)
    }),
)
const answerMs = (options.tokens / options.tokensPerSecond) * 1_000
const isOver = () => clients.every(({ viewer }) => viewer.done !== null)
await untilTrue(isOver, answerMs + interruptedMs)
const living = clients.filter(({ isOfDead }) => !isOfDead).map(({ viewer }) => viewer)
const dead = clients.filter(({ isOfDead }) => isOfDead).map(({ viewer }) => viewer)
const ends = dead.flatMap(({ done }) => done ?? [])
const interrupted = ends.filter(({ frame }) => frame.includes('"outcome":"interrupted"'))
report({
  living: living.length,
  whole: living.filter(({ seen }) => seen.isWhole).length,
  dead: dead.length,
  interrupted: interrupted.length,
  broken: dead.filter(({ seen }) => seen.lost + seen.doubled > 0).length,
  lastInterruptedMs: Math.max(...interrupted.map(({ atMs }) => atMs - killedMs)),
  back: back.count,
  p50: back.quantile(0.5),
  p99: back.quantile(0.99),
})
