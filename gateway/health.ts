import type { Database } from '#db/client.ts'
import type { Generations, HotHealth } from './generations/generations.ts'
import type { Model } from './models/model.ts'

export interface Dependency {
  state: 'up' | 'down' | 'off'
  reason?: string
}

export interface Health {
  /** `unready`: no work should be sent here. `degraded`: it works, and something that it needs doesn't. */
  status: 'ready' | 'degraded' | 'unready'
  nodeId: string
  dependencies: Record<string, Dependency>
}

export interface HealthDeps {
  nodeId: string
  generations: Generations
  /** What hot state is kept in, as an operator knows it. */
  hotStateName: string
  database: Database
  model: Model
  /** What else this process runs on; none of them makes it unready. */
  others?: Record<string, () => Promise<Dependency>>
  isDraining: () => boolean
  now: () => number
}

// Within 3 s of a hanging dependency it must be told, by a request that began before it hung.
const patienceMs = 1_500
// Anybody may ask, as often as they like.
const freshMs = 500

/** Asks every dependency, all at once and never for long; many requests share one round. */
export function createHealth(deps: HealthDeps): () => Promise<Health> {
  let round: { atMs: number; health: Promise<Omit<Health, 'nodeId'>> } | undefined
  return async () => {
    const atMs = deps.now()
    if (round === undefined || atMs - round.atMs >= freshMs || atMs < round.atMs) {
      round = { atMs, health: check(deps) }
    }
    const health = { nodeId: deps.nodeId, ...(await round.health) }
    return deps.isDraining() ? { ...health, status: 'unready' } : health
  }
}

async function check(deps: HealthDeps): Promise<Omit<Health, 'nodeId'>> {
  const names = Object.keys(deps.others ?? {})
  const [hot, postgres, model, ...others] = await Promise.all([
    within(() => deps.generations.health()),
    within(() => deps.database.health()),
    within(() => deps.model.health()),
    ...Object.values(deps.others ?? {}).map((ask) => within(ask)),
  ])
  const { full: isFull = false, degraded: isHotOff = false, ...hotState } = hot
  const dependencies: Record<string, Dependency> = {
    [deps.hotStateName]: hotState,
    postgres,
    model,
    ...Object.fromEntries(others.map((dependency, index) => [names[index], dependency])),
  }
  const isUnready = hotState.state === 'down' || isFull
  const isDegraded = isHotOff || Object.values(dependencies).some(({ state }) => state === 'down')
  return { status: isUnready ? 'unready' : isDegraded ? 'degraded' : 'ready', dependencies }
}

/** With what hot state says beyond. */
type Told = Dependency & Pick<HotHealth, 'full' | 'degraded'>

async function within(ask: () => Promise<Told>): Promise<Told> {
  const { promise: late, resolve } = Promise.withResolvers<Told>()
  const timer = setTimeout(
    () => resolve({ state: 'down', reason: `no answer within ${patienceMs} ms` }),
    patienceMs,
  )
  try {
    return await Promise.race([ask(), late])
  } catch (error) {
    return { state: 'down', reason: error instanceof Error ? error.name : 'failed' }
  } finally {
    clearTimeout(timer)
  }
}
