import { topicOf } from '#events/topics.ts'
import { uuidv7 } from '#runtime/ids.ts'
import { iso } from '#runtime/time.ts'
import type { SessionRef } from '../generations/generations.ts'
import type { OpenEvent } from '../generations/steps.ts'

export interface EventInput {
  eventType: string
  session: SessionRef
  /** Milliseconds since the epoch; the instant inside the event's id. */
  at: number
  nodeId: string
  /** The event's own fields; `undefined` ones are left out. */
  fields: Record<string, unknown>
  traceparent?: string | undefined
}

/** An event of a step, made once: the step closes its JSON with `epoch` and `seq`. */
export function openEvent(input: EventInput): OpenEvent {
  const { eventType, session, at, nodeId, fields, traceparent } = input
  const eventId = uuidv7(at)
  const json = JSON.stringify({
    eventId,
    eventType,
    schemaVersion: 1,
    timestamp: iso(at),
    tenantId: session.tenantId,
    userId: session.userId,
    sessionId: session.sessionId,
    conversationId: session.sessionId,
    nodeId,
    ...fields,
  })
  return {
    eventId,
    eventType,
    topic: topicOf(eventType),
    key: session.sessionId,
    timestamp: at,
    nodeId,
    json: json.slice(0, -1),
    ...(traceparent !== undefined && { traceparent }),
  }
}

/** An event of no step, whole. */
export function freeEvent(input: EventInput): OpenEvent {
  const event = openEvent(input)
  return { ...event, json: `${event.json}}` }
}
