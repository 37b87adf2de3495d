import { iso } from '#runtime/time.ts'

/** An event that never came into its topic, as the outbox keeps it. */
export interface Refused {
  topic: string
  reason: string
  /** When it was put aside, milliseconds since the epoch. */
  atMs: number
}

/** What the log refused for good: of one topic and for one reason. */
export interface RefusedLetters {
  topic: string
  group: null
  count: number
  oldest: string
  newest: string
  /** Why. */
  refused: string
}

/** By topic and reason. */
export function refusedLetters(all: readonly Refused[]): RefusedLetters[] {
  const found = new Map<string, RefusedLetters>()
  for (const { topic, reason, atMs } of all.toSorted((a, b) => a.atMs - b.atMs)) {
    const key = `${topic}\n${reason}`
    const letters = found.get(key)
    const at = iso(atMs)
    if (letters === undefined) {
      found.set(key, { topic, group: null, count: 1, oldest: at, newest: at, refused: reason })
    } else {
      letters.count += 1
      letters.newest = at
    }
  }
  return [...found.values()].toSorted((a, b) => (a.topic < b.topic ? -1 : 1))
}
