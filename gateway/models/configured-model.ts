import type { ModelConfig } from '../config.ts'
import { demoModel } from './demo.ts'
import type { Model } from './model.ts'

/** The model that the configuration names. What talks to a server is loaded only for one. */
export async function configuredModel({ openai, upstreamIdleMs }: ModelConfig): Promise<Model> {
  if (openai === null) return demoModel()
  const { openaiModel } = await import('./openai.ts')
  return openaiModel({ ...openai, idleMs: upstreamIdleMs })
}
