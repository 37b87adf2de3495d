import { isReal } from './hot-parts.ts'
import { startSluice } from './sluice-process.ts'
import { startStack } from './stack.ts'
import { tempDir } from './temp.ts'
import { until } from './until.ts'

/** All of Sluice behind one address. */
export interface Deployed extends AsyncDisposable {
  url: string
}

/** As its users start it: one process, or, where the run is of the real parts, all those of the real mode. */
export async function startDeployed(env: Record<string, string> = {}): Promise<Deployed> {
  if (!isReal) {
    const sluice = await startSluice({ dataDir: tempDir(), env })
    const health = async () => (await fetch(`${sluice.url}/health`)).json()
    const isUp = async () => ((await health()) as { status: string }).status === 'ready'
    // Replay comes last.
    await until(isUp, { what: 'all is up', timeoutMs: 60_000, everyMs: 50 })
    return sluice
  }
  const consumers = ['audit', 'history', 'analytics', 'replay'] as const
  const { url } = await startStack({ consumers, env })
  // It ends with the file.
  return { url, [Symbol.asyncDispose]: () => Promise.resolve() }
}
