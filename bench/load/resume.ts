import { nowMs } from '../source.ts'
import { Latencies } from '../stats.ts'
import { inParallel, loadOptions, report, untilTrue } from './load.ts'
import { Viewer } from './viewers.ts'

// Clients cut by a TCP reset in the middle of their answers; 2 s later all are back within half a second, with two
// nodes on the other one. Others stream all the while.
const offlineMs = 2_000
const returnMs = 500
const options = loadOptions()
const caughtUp = new Latencies()
const run = crypto.randomUUID()
const viewers = Array.from(
  { length: options.clients + options.others },
  (_, at) => new Viewer(options, at, `${run}-${at}`, () => undefined),
)
const cut = viewers.slice(0, options.clients)
await inParallel(viewers.length, 100, async (at) => void (await viewers[at]?.connect()))
for (const [at, viewer] of viewers.entries()) {
  viewer.ask()
  if (at % 20 === 19) await Bun.sleep(5)
}
await Bun.sleep(1_500)
for (const viewer of cut) viewer.cut()
await Bun.sleep(offlineMs)
await Promise.all(
  cut.map(async (viewer) => {
    await Bun.sleep(Math.random() * returnMs)
    const fromMs = nowMs()
    if (await viewer.connect(1)) caughtUp.add(nowMs() - fromMs)
  }),
)
const answerMs = (options.tokens / options.tokensPerSecond) * 1_000
await untilTrue(() => viewers.every(({ seen }) => seen.isDone), answerMs + 15_000)
const whole = viewers.filter(({ seen }) => seen.isWhole).length
report({
  exactlyOnce: `${((100 * whole) / viewers.length).toFixed(whole === viewers.length ? 0 : 2)} %`,
  back: caughtUp.count,
  p50: caughtUp.quantile(0.5),
  p99: caughtUp.quantile(0.99),
})
