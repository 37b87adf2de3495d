import { inParallel, loadOptions, report, untilTrue, Window } from './load.ts'
import { Viewer } from './viewers.ts'

// N answers, one viewer each, measured once all are under way and what their beginning costs is over: this is about
// tokens. The code is warm by then, too. With two nodes each answer is made on the one that its viewer isn't on.
const settleMs = 5_000
const marginMs = 500
const options = loadOptions()
const measured = new Window(options)
const run = crypto.randomUUID()
const viewers = Array.from(
  { length: options.clients },
  (_, at) => new Viewer(options, at, `${run}-${at}`, (dueMs) => measured.add(dueMs)),
)
await inParallel(viewers.length, 100, async (at) => void (await viewers[at]?.connect()))
const spreadMs = 1_000
const asking: Promise<void>[] = []
for (let ms = 0; ms < spreadMs; ms += 10) {
  const from = Math.floor((viewers.length * ms) / spreadMs)
  const to = Math.floor((viewers.length * (ms + 10)) / spreadMs)
  for (const viewer of viewers.slice(from, to)) ask(viewer)
  await Bun.sleep(10)
}
const answerMs = (options.tokens / options.tokensPerSecond) * 1_000
await Promise.all(asking)
await Bun.sleep(settleMs)
measured.open()
await Bun.sleep(answerMs - spreadMs - settleMs - marginMs)
measured.close()
await untilTrue(() => viewers.every(({ seen }) => seen.isDone), 15_000)
report({
  ...measured.figures,
  broken: viewers.filter(({ seen }) => !seen.isWhole).length,
})

function ask(viewer: Viewer): void {
  if (options.nodes.length === 1) viewer.ask()
  else asking.push(viewer.askElsewhere())
}
