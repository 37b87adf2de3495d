import { z } from 'zod'

/** What the house's own ids and those of clients are made of. */
export const Id = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/)
export const Uuid = z.uuid()
export const Name = z.string().min(1)
export const Count = z.int().nonnegative()
export const Duration = z.number().nonnegative()
/** The list of outcomes is closed; other lists may grow, so events have them as text. */
export const Outcome = z.enum(['completed', 'cancelled', 'failed', 'interrupted'])

export const Usage = z.looseObject({
  inputTokens: Count.optional(),
  outputTokens: Count.optional(),
  reasoningTokens: Count.optional(),
  cachedInputTokens: Count.optional(),
})

export const Parts = z.array(
  z.looseObject({
    part: Count,
    kind: Name,
    text: z.string().optional(),
    data: z.unknown().optional(),
  }),
)

/** What every event has. */
export const envelope = {
  eventId: Uuid,
  schemaVersion: z.literal(1),
  timestamp: z.iso.datetime(),
  tenantId: Name,
  userId: Name,
  sessionId: Id,
  conversationId: Id,
  nodeId: Name,
}

const Place = { epoch: Count, seq: z.int().positive() }

/** What the events of a step have too. `previous`: only of the first event of an epoch after the first. */
export const step = {
  ...Place,
  previous: z.looseObject({ epoch: Count, seq: Count }).optional(),
}
