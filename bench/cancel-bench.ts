import { freePort } from '../test/support/free-port.ts'
import { deploy, runScript } from './deployment.ts'
import type { Figures } from './run-load.ts'
import { unlimited } from './source-model.ts'

const count = 400

/** Two nodes as they are run, and a model's server beside the load. */
export async function cancelBench(): Promise<Figures[]> {
  const upstreamPort = await freePort()
  await using deployment = await deploy({
    target: 'redis',
    nodes: 2,
    env: { ...unlimited, OPENAI_BASE_URL: `http://127.0.0.1:${upstreamPort}/v1` },
    isProduct: true,
  })
  const told = { nodes: deployment.urls, upstreamPort, count }
  return [{ nodes: 2, ...(await runScript<Figures>('cancel', told)) }]
}
