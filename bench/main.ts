import { parseArgs } from 'node:util'
import { auditBench } from './audit/audit-bench.ts'
import { cancelBench } from './cancel-bench.ts'
import type { Target } from './deployment.ts'
import { kafkaBench } from './kafka/kafka-bench.ts'
import { relayBench } from './relay/relay-bench.ts'
import { each, failover, resume, stream, type Wanted } from './rows.ts'
import type { Figures } from './run-load.ts'
import { tableOf } from './stats.ts'
import { stepBench } from './step-bench.ts'

const usage = `bun run bench <what> [--json] [--parts embedded|redis] [--nodes 1|2] [--target bare|sluice|redis] [--clients n]

  stream   N answers of 30 tokens/s, one viewer each: latency, CPU a token, the highest N
  fanout   one answer, V viewers
  resume   2,000 clients cut by a TCP reset, 2 s offline, back with their cursors; 200 with ten times as many beside them
  idle     memory of a connection that nothing happens on; 2,000 connecting at once
  storm    2,000 connecting at once, each with a token of its own

These beside a bare Bun.serve in the same run. p50 and p99 are milliseconds from a token's due time to the client's
frame (resume: from the connect to all that was missed; storm: from the connect to "live"). --parts redis: a node on a
Redis that shares its core; --nodes 2: two of them, and each viewer on the node that doesn't make its answer.

  failover one of two nodes killed: its answers' end, all of the other's, its viewers back on the other ("live", ms)
  cancel   POST /api/cancel on the node that doesn't make the answer, until the model's server sees its call broken off
  step     steps of hot state in Redis beside plain XADDs of the same client; CPU in µs a step
  audit    the audit consumer from Kafka to Postgres beside COPY of the same rows; rows a second
  kafka    the Kafka client through its process beside the client alone, on one broker, both ways
  relay    --events n (400,000) from the outbox in Redis to Kafka through one relay, 200,000 at a time; CPU (µs an event) of
           each process and the most memory of the relay's; --consumed: a consumer reads each wave to its end`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    help: { type: 'boolean' },
    parts: { type: 'string', default: 'embedded' },
    nodes: { type: 'string', default: '1' },
    target: { type: 'string' },
    clients: { type: 'string' },
    events: { type: 'string', default: '400000' },
    consumed: { type: 'boolean' },
  },
})

function wantedOf(): Wanted | null {
  const { parts, target, nodes, clients } = values
  const product: Target = parts === 'redis' || nodes !== '1' ? 'redis' : 'sluice'
  const targets: Target[] = ['bare', product]
  const only = targets.filter((each) => target === undefined || each === target)
  const isSound = ['embedded', 'redis'].includes(parts) && ['1', '2'].includes(nodes)
  if (!isSound || only.length === 0) return null
  return {
    targets: only,
    nodes: Number(nodes),
    clients: clients === undefined ? null : Number(clients),
    say: progress,
  }
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`)
}

const benches: Record<string, (wanted: Wanted) => Promise<Figures[]>> = {
  stream,
  resume,
  fanout: (wanted) => each(wanted, [100, 1_000, 5_000], { load: 'fanout' }),
  idle: (wanted) => each(wanted, [9_900], { load: 'idle' }),
  storm: (wanted) => each(wanted, [2_000], { load: 'storm' }),
  failover,
  cancel: cancelBench,
  step: () => stepBench(progress),
  audit: () => auditBench(progress),
  relay: () =>
    relayBench({
      events: Number(values.events),
      isConsumed: values.consumed === true,
      say: progress,
    }),
  kafka: async () => (await kafkaBench(progress)).map((row) => ({ ...row })),
}
const name = positionals[0] ?? ''
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
const wanted = wantedOf()
if (values.help === true || bench === undefined || wanted === null) {
  process.stdout.write(`${usage}\n`)
  process.exit(values.help === true ? 0 : 2)
}
const rows = await bench(wanted)
const out = values.json === true ? JSON.stringify({ bench: name, rows }) : tableOf(rows)
process.stdout.write(`${out}\n`)
