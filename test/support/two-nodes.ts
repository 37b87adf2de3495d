import { PlainArchive } from './asks-node.ts'
import { type TestGateway, type TestGatewayOptions, testGateway } from './gateway.ts'
import { noLimits } from './no-limits.ts'
import { type ModelCall, ScriptedModel } from './scripted-model.ts'

/** Two nodes over one Redis, by themselves, and a model that the test plays. */
export interface Nodes extends TestGateway {
  model: ScriptedModel
  /** What Postgres would know. */
  archive: PlainArchive
  one: string
  two: string
}

export function twoNodes(redisUrl: string, options: TestGatewayOptions = {}): Nodes {
  const model = new ScriptedModel()
  const archive = new PlainArchive()
  const env = { ...noLimits, ...options.env }
  const gateway = testGateway({ model, archive, ...options, env, redisUrl })
  const [one, two] = gateway.nodes
  if (one === undefined || two === undefined) throw new Error('there are not two nodes')
  const dispose = () => gateway[Symbol.asyncDispose]()
  return { ...gateway, model, archive, one: one.url, two: two.url, [Symbol.asyncDispose]: dispose }
}

/** Asked at node `one` by default: it makes the answer. */
export async function ask(it: Nodes, sessionId: string, url = it.one): Promise<ModelCall> {
  const body = { sessionId, message: 'why?' }
  const { body: accepted } = await it.call('POST', '/api/chat', { url, body })
  return await it.model.call(accepted.messageId)
}
