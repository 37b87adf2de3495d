import type { Generation, Outcome, Status, StoredMessage } from '../generations.ts'

/** An answer as `described` of the scripts has it. */
export function generationOf(messageId: string, reply: unknown): Generation {
  const fields = reply as string[]
  const [sessionId = '', tenantId = '', userId = '', userMessageId = '', model = ''] = fields
  const [createdAt, epoch, startedSeq, next] = fields.slice(5, 9).map(Number)
  const [status = '', requestId, regenerates, outcome, erased, message] = fields.slice(9)
  return {
    sessionId,
    tenantId,
    userId,
    messageId,
    userMessageId,
    model,
    createdAtMs: createdAt ?? 0,
    epoch: epoch ?? 0,
    startedSeq: startedSeq ?? 0,
    next: next ?? 0,
    status: status as Status | 'finished',
    ...(requestId && { requestId }),
    ...(regenerates && { regenerates }),
    ...(outcome && { outcome: outcome as Outcome }),
    ...(message && { message: JSON.parse(message) as StoredMessage }),
    erased: erased === '1',
  }
}
