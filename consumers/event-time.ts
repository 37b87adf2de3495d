import { isUuid, timeOfUuid } from '#runtime/ids.ts'

/**
 * An event's time in milliseconds: the instant inside its id, so that the two can't differ; of a foreign producer's id
 * that holds none, its `timestamp`.
 */
export function timeOfEvent({
  eventId,
  timestamp,
}: {
  eventId: string
  timestamp: string
}): number {
  return isUuid(eventId) && eventId[14] === '7' ? timeOfUuid(eventId) : Date.parse(timestamp)
}
