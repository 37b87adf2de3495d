import type { ReplayedEvent } from './replayed.ts'

/** An event on its way to the caller. */
export interface Outgoing {
  /** The event's type; `raw` for a value that is none. */
  type: string
  /** `<partition>:<offset>`; null where that would name two records of this replay. */
  id: string | null
  /** Milliseconds since the epoch, for the pace. */
  timeMs: number
  event: ReplayedEvent
}

export interface ReplayEnd {
  complete: boolean
  missing: object[]
}

/** One replay under way: its events once, then what is to be said of them. */
export interface Replay {
  events: AsyncGenerator<Outgoing>
  end(): ReplayEnd
  /** The JSON answer; `rest` is the first event that the limit has cut off. */
  body(events: ReplayedEvent[], rest: Outgoing | null): object
}

const eventName = /^\w{1,100}$/

export function typeOf(event: ReplayedEvent): string {
  const { eventType } = event
  return typeof eventType === 'string' && eventName.test(eventType) ? eventType : 'raw'
}
