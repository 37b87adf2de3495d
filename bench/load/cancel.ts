import { Latencies } from '../stats.ts'
import { inParallel, report } from './load.ts'
import { upstream } from './upstream.ts'

// Answers that one node makes, cancelled by a call on another one: until the model's server sees the connection break.
interface CancelOptions {
  nodes: [maker: string, other: string]
  upstreamPort: number
  count: number
}

const atOnce = 4
const warming = 40
const runsMs = 100
const { nodes, upstreamPort, count } = JSON.parse(process.argv[2] ?? '{}') as CancelOptions
const [maker, other] = nodes
const model = await upstream(upstreamPort)
const aborted = new Latencies()
const answered = new Latencies()
let failed = 0
await inParallel(count + warming, atOnce, async (at) => {
  const question = `question ${at}`
  const { messageId } = await post(maker, '/api/chat', { message: question })
  await Bun.sleep(runsMs + Math.random() * runsMs)
  const fromMs = performance.now()
  const until = model.aborted(question)
  const { outcome } = await post(other, '/api/cancel', { messageId })
  const answeredMs = performance.now()
  const abortedMs = await until
  if (outcome !== 'cancelled') failed += 1
  if (at < warming) return
  aborted.add(abortedMs - fromMs)
  answered.add(answeredMs - fromMs)
})
model.close()
report({
  cancels: aborted.count,
  failed,
  p50: aborted.quantile(0.5),
  p99: aborted.quantile(0.99),
  answeredP50: answered.quantile(0.5),
  answeredP99: answered.quantile(0.99),
})

async function post(node: string, path: string, body: object): Promise<Record<string, string>> {
  const response = await fetch(new URL(path, node), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path} got ${response.status}: ${await response.text()}`)
  return (await response.json()) as Record<string, string>
}
