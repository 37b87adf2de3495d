import { inParallel, loadOptions, report, untilTrue, Window } from './load.ts'
import { Viewer } from './viewers.ts'

// One answer, V viewers; with two nodes all of them on the one that doesn't make it.
const all = loadOptions()
const [maker = '', watched = maker] = all.nodes
const options = { ...all, nodes: [watched] }
const measured = new Window(options)
const sessionId = crypto.randomUUID()
const viewers = Array.from(
  { length: options.clients },
  (_, at) => new Viewer(options, at, sessionId, (dueMs) => measured.add(dueMs)),
)
await inParallel(viewers.length, 100, async (at) => void (await viewers[at]?.connect()))
if (maker === watched) viewers[0]?.ask()
else await new Viewer({ ...all, nodes: [maker] }, 0, sessionId, () => undefined).askElsewhere()
const answerMs = (options.tokens / options.tokensPerSecond) * 1_000
await Bun.sleep(500)
measured.open()
await Bun.sleep(answerMs - 1_000)
measured.close()
await untilTrue(() => viewers.every(({ seen }) => seen.isDone), 15_000)
report({ ...measured.figures, broken: viewers.filter(({ seen }) => !seen.isWhole).length })
