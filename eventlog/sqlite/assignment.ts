import type { Place } from './topic-table.ts'

interface Subscriber {
  topics: readonly string[]
  /** What it has now. */
  slots: ReadonlySet<number>
}

/**
 * Who gets which partitions: evenly among those who subscribe, and each keeps what it has as far as that allows. The
 * answer is in the order of `subscribers`.
 */
export function assign(subscribers: readonly Subscriber[], places: readonly Place[]): Place[][] {
  const shares = subscribers.map(() => new Map<number, Place>())
  const wanting = (place: Place) =>
    subscribers.flatMap(({ topics }, at) => (topics.includes(place.topic) ? [at] : []))
  const sizeOf = (at: number) => shares[at]?.size ?? 0
  for (const place of places) {
    const candidates = wanting(place)
    const holder = candidates.find((at) => subscribers[at]?.slots.has(place.slot))
    const least = candidates.toSorted((a, b) => sizeOf(a) - sizeOf(b))[0]
    const chosen = holder ?? least
    if (chosen !== undefined) shares[chosen]?.set(place.slot, place)
  }
  let isEven = false
  while (!isEven) isEven = !moveOne(shares, wanting)
  return shares.map((share) => [...share.values()])
}

/** Moves one partition from who has too many to who has too few; false when all is even. */
function moveOne(shares: Map<number, Place>[], wanting: (place: Place) => number[]): boolean {
  const byLoad = shares
    .map((share, at) => ({ share, at }))
    .sort((a, b) => b.share.size - a.share.size)
  for (const from of byLoad) {
    for (const place of [...from.share.values()].reverse()) {
      const to = byLoad.findLast(({ at }) => wanting(place).includes(at))
      if (to === undefined || from.share.size - to.share.size < 2) continue
      from.share.delete(place.slot)
      to.share.set(place.slot, place)
      return true
    }
  }
  return false
}
