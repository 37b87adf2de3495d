import { parseArgs } from 'node:util'
import { kafkaBench } from './kafka/kafka-bench.ts'
import { type Figures, type RunOptions, runLoad, type Target } from './run-load.ts'
import { tableOf } from './stats.ts'

const usage = `bun run bench <what> [--json] [--target bare|sluice] [--clients n]

  stream   N answers of 30 tokens/s, one viewer each: latency, CPU a token, the highest N
  fanout   one answer, V viewers
  resume   2,000 clients cut by a TCP reset, 2 s offline, back with their cursors
  idle     memory of a connection that nothing happens on; 2,000 connecting at once
  kafka    the Kafka client through its process beside the client alone, on one broker, both ways

All but the last beside a bare Bun.serve in the same run. p50 and p99 are milliseconds from a token's due time to the client's frame.`

type Row = { target: Target; clients: number } & Figures

const highestP99Ms = 20

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean' },
    help: { type: 'boolean' },
    target: { type: 'string' },
    clients: { type: 'string' },
  },
})
const targets: Target[] =
  values.target === 'bare' || values.target === 'sluice' ? [values.target] : ['bare', 'sluice']
const only = values.clients === undefined ? null : Number(values.clients)

async function each(
  counts: number[],
  options: Omit<RunOptions, 'target' | 'clients'>,
): Promise<Row[]> {
  const rows: Row[] = []
  for (const clients of only === null ? counts : [only]) {
    for (const target of targets) {
      const figures = await runLoad({ ...options, target, clients })
      rows.push({ target, clients, ...figures })
      progress(`${options.load} ${target} ${clients}: ${JSON.stringify(figures)}`)
    }
  }
  return rows
}

async function stream(): Promise<Row[]> {
  const rows = await each([200, 1_000], { load: 'stream' })
  if (only !== null) return rows
  for (const target of targets) {
    const highest = await highestOf(target)
    rows.push(highest)
    if (highest.clients === 0) continue
    const clients = 2 * highest.clients
    rows.push({ target, ...(await runLoad({ load: 'stream', target, clients })), clients })
  }
  return rows
}

/** The most answers at once with p99 below 20 ms and nothing lost; steps of 12 %, each failure tried once more. */
async function highestOf(target: Target): Promise<Row> {
  let best: Row = { target, clients: 0 }
  for (let clients = target === 'bare' ? 2_000 : 400; clients < 9_000; ) {
    let isGood = false
    for (let tries = 0; tries < 2 && !isGood; tries += 1) {
      const figures = await runLoad({ load: 'stream', target, clients })
      progress(`highest ${target} ${clients}: ${JSON.stringify(figures)}`)
      isGood = Number(figures['p99']) < highestP99Ms && figures['broken'] === 0
      if (isGood) best = { target, ...figures, clients }
    }
    if (!isGood) break
    clients = Math.round(clients * 1.12)
  }
  return best
}

async function resume(): Promise<Row[]> {
  const rows: Row[] = []
  for (const tokensPerSecond of [5, 30]) {
    const some = await each([2_000], { load: 'resume', tokensPerSecond })
    rows.push(...some.map((row) => ({ ...row, tokensPerSecond })))
  }
  return rows
}

function progress(line: string): void {
  process.stderr.write(`${line}\n`)
}

const benches: Record<string, () => Promise<Record<string, string | number>[]>> = {
  stream,
  resume,
  fanout: () => each([100, 1_000, 5_000], { load: 'fanout' }),
  idle: () => each([9_900], { load: 'idle' }),
  kafka: async () => (await kafkaBench(progress)).map((row) => ({ ...row })),
}
const name = positionals[0] ?? ''
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
if (values.help === true || bench === undefined) {
  process.stdout.write(`${usage}\n`)
  process.exit(values.help === true ? 0 : 2)
}
const rows = await bench()
const out = values.json === true ? JSON.stringify({ bench: name, rows }) : tableOf(rows)
process.stdout.write(`${out}\n`)
