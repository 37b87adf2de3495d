import type { ChatConfig } from '../../config.ts'
import type { StoredMessage } from '../../generations/generations.ts'
import type { ModelMessage } from '../../models/model.ts'

export type ContextBounds = Pick<ChatConfig, 'contextMessages' | 'contextBytes'>

/**
 * What the model is told before the question: the newest messages that fit both bounds, oldest first. The first that
 * doesn't fit ends it. A message without text says nothing, and some models refuse one.
 */
export function contextOf(before: readonly StoredMessage[], bounds: ContextBounds): ModelMessage[] {
  const context: ModelMessage[] = []
  let bytes = 0
  for (const { role, content } of before.toReversed()) {
    if (context.length === bounds.contextMessages) break
    if (content === '') continue
    bytes += Buffer.byteLength(content)
    if (bytes > bounds.contextBytes) break
    context.push({ role, content })
  }
  return context.reverse()
}

export function modelMessages(
  system: string | null,
  context: readonly ModelMessage[],
  question: string,
): ModelMessage[] {
  const prompt: ModelMessage[] = system === null ? [] : [{ role: 'system', content: system }]
  return [...prompt, ...context, { role: 'user', content: question }]
}
