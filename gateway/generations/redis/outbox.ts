import type { OpenEvent } from '../steps.ts'

/**
 * The outbox: per shard a stream `<base>outbox` of what is told and not yet in the event log, in order. An entry has the
 * fields `t` topic, `k` key, `h` head (`eventId`, `eventType`, timestamp in ms, `nodeId`, `traceparent` or nothing, a line
 * each) and `v` value, the event's whole JSON. The hash `<base>outbox:size` counts entries (`n`) and bytes of `v` (`b`);
 * who takes an entry out subtracts it in the same script. What the log refuses for good is in `<base>outbox:refused`,
 * with the same fields and `e`, why. `<base>relay` is there, for a while, as long as a relay holds the shard.
 */
export const outboxKeys = {
  stream: (base: string) => `${base}outbox`,
  size: (base: string) => `${base}outbox:size`,
  refused: (base: string) => `${base}outbox:refused`,
  relay: (base: string) => `${base}relay`,
}

/** The part of an event that is known before its step: for the record's headers. */
export function headOf(event: OpenEvent): string {
  return `${event.eventId}\n${event.eventType}\n${event.timestamp}\n${event.nodeId}\n${event.traceparent ?? ''}`
}

/** An event as four arguments of a script. */
export function pushEvent(args: string[], event: OpenEvent): void {
  args.push(event.topic, event.key, headOf(event), event.json)
}

/** An entry's fields, which Redis tells as names and values by turns. */
export function pairsOf<Text extends string | Buffer>(
  fields: readonly Text[],
): Record<string, Text> {
  const pairs: Record<string, Text> = {}
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]
    const of = fields[at + 1]
    if (name !== undefined && of !== undefined) pairs[name.toString('latin1')] = of
  }
  return pairs
}
