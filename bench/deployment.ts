import { onCore, type ServerProcess, startServer } from './process.ts'
import { realServers } from './real-servers.ts'

/** `bare`: `Bun.serve` alone; `sluice`: the one process of `bun start`; `redis`: nodes on a Redis of their own. */
export type Target = 'bare' | 'sluice' | 'redis'

/** What a load runs against: all of it on the servers' core. */
export interface Deployment extends AsyncDisposable {
  urls: string[]
  gatewayPids: number[]
  /** CPU that is spent for the gateways elsewhere. */
  redisPids: number[]
}

export interface DeployOptions {
  target: Target
  nodes?: number
  env: Record<string, string>
  /** The product's own entry instead of the one with the bench's model. */
  isProduct?: boolean
}

const scripts = { bare: 'bare.ts', sluice: 'sluice.ts', redis: 'node.ts' }
const product = '../../gateway/main.ts'

export async function deploy(options: DeployOptions): Promise<Deployment> {
  const { target, nodes = 1, env, isProduct = false } = options
  const stack = new AsyncDisposableStack()
  try {
    const servers = target === 'redis' ? stack.use(await realServers()) : null
    const script = isProduct && target === 'redis' ? product : scripts[target]
    const gateways: ServerProcess[] = []
    for (let at = 0; at < nodes; at += 1) {
      const own = { ...servers?.env, ...env, PORT: '0', NODE_ID: `node-${at + 1}` }
      gateways.push(stack.use(await startServer(script, own)))
    }
    return {
      urls: gateways.map(({ url }) => url),
      gatewayPids: gateways.map(({ pid }) => pid),
      redisPids: servers === null ? [] : [servers.redisPid],
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    }
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

const loadMs = 120_000

/** Runs a script of `bench/load` on the loads' core; answers the figures that it prints. */
export async function runScript<T>(name: string, told: object): Promise<T> {
  const script = new URL(`./load/${name}.ts`, import.meta.url).pathname
  const child = Bun.spawn([...onCore(1), process.execPath, script, JSON.stringify(told)], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
    timeout: loadMs,
  })
  const text = await new Response(child.stdout).text()
  if ((await child.exited) !== 0) throw new Error(`the load ${name} failed`)
  return JSON.parse(text) as T
}
