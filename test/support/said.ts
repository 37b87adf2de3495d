import type { TestGateway } from './gateway.ts'
import type { ModelCall } from './scripted-model.ts'
import { until } from './until.ts'

/** Said, and in the log. */
export async function said(
  { generations }: TestGateway,
  call: ModelCall,
  ...texts: string[]
): Promise<void> {
  const { messageId } = call.request
  const before = (await generations.find(messageId))?.next ?? 0
  call.say(...texts)
  const isThere = async () => (await generations.find(messageId))?.next === before + texts.length
  await until(isThere, { what: `${texts.length} more chunks in the log` })
}
