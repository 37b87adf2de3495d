import type { Target } from './deployment.ts'
import { type Figures, type RunOptions, runLoad } from './run-load.ts'

export interface Wanted {
  targets: Target[]
  /** Nodes of `redis`. */
  nodes: number
  /** Instead of the usual numbers of clients. */
  clients: number | null
  say(line: string): void
}

type Row = Figures & { target: Target }
type Load = Omit<RunOptions, 'target' | 'clients' | 'nodes'>

const highestP99Ms = 20
const firstClients = { bare: 2_000, sluice: 400, redis: 200 }
const clientsMax = 9_000

/** A load with each number of clients against each target. */
export async function each(wanted: Wanted, counts: number[], load: Load): Promise<Row[]> {
  const rows: Row[] = []
  for (const clients of wanted.clients === null ? counts : [wanted.clients]) {
    for (const target of wanted.targets) rows.push(await one(wanted, target, { ...load, clients }))
  }
  return rows
}

export async function stream(wanted: Wanted): Promise<Row[]> {
  const rows = await each(wanted, [200, 1_000], { load: 'stream' })
  if (wanted.clients !== null) return rows
  for (const target of wanted.targets) {
    const highest = await highestOf(wanted, target)
    if (highest === null) continue
    rows.push(highest)
    const clients = 2 * Number(highest['clients'])
    rows.push(await one(wanted, target, { load: 'stream', clients }))
  }
  return rows
}

/** The most answers at once with p99 below 20 ms and nothing lost; steps of 12 %, each failure tried once more. */
export async function highestOf(wanted: Wanted, target: Target): Promise<Row | null> {
  let best: Row | null = null
  for (let clients = firstClients[target]; clients < clientsMax; ) {
    let isGood = false
    for (let tries = 0; tries < 2 && !isGood; tries += 1) {
      const row = await one(wanted, target, { load: 'stream', clients })
      isGood = Number(row['p99']) < highestP99Ms && row['broken'] === 0
      if (isGood) best = row
    }
    if (!isGood) break
    clients = Math.round(clients * 1.12)
  }
  return best
}

export async function resume(wanted: Wanted): Promise<Row[]> {
  const rows: Row[] = []
  for (const tokensPerSecond of [5, 30]) {
    rows.push(...(await each(wanted, [2_000], { load: 'resume', tokensPerSecond })))
  }
  // Ten times their traffic beside them: fewer are cut, for the servers have one core as before.
  for (const [tokensPerSecond, clients] of [
    [5, 200],
    [30, 50],
  ] as const) {
    const load = { load: 'resume', tokensPerSecond, others: 10 * clients } as const
    rows.push(...(await each(wanted, [clients], load)))
  }
  return rows
}

/** A bound, not a comparison: nothing bare is spread over two nodes. */
export function failover(wanted: Wanted): Promise<Row[]> {
  const two: Wanted = { ...wanted, targets: ['redis'], nodes: 2 }
  return each(two, [400], { load: 'failover', tokensPerSecond: 10 })
}

async function one(
  { nodes, say }: Wanted,
  target: Target,
  load: Omit<RunOptions, 'target' | 'nodes'>,
): Promise<Row> {
  const { load: name, clients, tokensPerSecond, others } = load
  const figures = await runLoad({ ...load, target, nodes })
  const row = {
    target,
    ...(target === 'redis' && { nodes }),
    ...{ clients, ...(others !== undefined && { others }) },
    ...(tokensPerSecond !== undefined && { tokensPerSecond }),
    ...figures,
  }
  say(`${name} ${JSON.stringify(row)}`)
  return row
}
