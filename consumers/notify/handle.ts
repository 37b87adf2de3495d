import { topics } from '#events/topics.ts'
import { Away, isAway } from '../away.ts'
import { type ConsumerDefinition, defineConsumer, type HandleContext } from '../define.ts'
import { groups } from '../groups.ts'
import type { StreamErrorEvent, Target } from './target.ts'

// Of events whose batch waits for a target: who has them already.
const deliveredMax = 10_000

/**
 * Tells every target of every failed answer, at least once. One that is away is waited for, with its partition standing
 * still; the others have what the batch holds by then, and don't get it again from this process. What one refuses for good
 * is parked.
 */
export function notifyConsumer(targets: readonly Target[]): ConsumerDefinition {
  const delivered = new Set<string>()
  const send = async (target: Target, event: StreamErrorEvent, context: HandleContext) => {
    const key = `${target.name} ${event.eventId}`
    if (delivered.has(key)) return
    await target.send(event, context.signal)
    delivered.add(key)
    for (const oldest of delivered) {
      if (delivered.size <= deliveredMax) break
      delivered.delete(oldest)
    }
  }
  return defineConsumer({
    name: 'notify',
    groupId: groups.notify,
    topics: [topics.stream],
    eventTypes: ['STREAM_ERROR'],
    from: 'end',
    // A refusal is final; what may pass is waited for and never counted.
    maxAttempts: 1,
    batchSize: 50,
    async handle(consumed, context) {
      const events = consumed.flatMap(({ isKnown, event }) =>
        isKnown && event.eventType === 'STREAM_ERROR' ? [event] : [],
      )
      const failures = await Promise.all(
        targets.map((target) => toOne(target, events, (event) => send(target, event, context))),
      )
      const all = failures.flatMap((failure) => failure ?? [])
      // What is away is told first: the refused event is parked when everybody else has it.
      const failure = all.find((error) => isAway(error)) ?? all[0]
      if (failure !== undefined) throw failure
    },
  })
}

/** All of them in order, up to the first that it can't have now; answers why not, or what it has refused. */
async function toOne(
  { name }: Target,
  events: readonly StreamErrorEvent[],
  send: (event: StreamErrorEvent) => Promise<void>,
): Promise<Error | null> {
  let refused: Error | null = null
  for (const event of events) {
    try {
      await send(event)
    } catch (error) {
      const message = `${name} ${error instanceof Error ? error.message : error}`
      if (isAway(error)) {
        return new Away(message, { cause: error })
      }
      refused ??= new Error(message, { cause: error })
    }
  }
  return refused
}
