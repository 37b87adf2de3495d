import type { Told } from './generations-kit.ts'

interface Place {
  epoch: number
  seq: number
}

/**
 * What is wrong with the events of one session over all its epochs: a step without an event, an epoch that does not name
 * the one before, a second end of an answer that says something else, a text that is not what was written.
 */
export function faultsOverEpochs(
  events: readonly Told[],
  answers: ReadonlyMap<string, { texts: string[]; outcome: string }>,
  { isLossy = false } = {},
): string[] {
  const steps = events.filter((event) => event['seq'] !== undefined)
  const faults = [...gaps(steps), ...brokenChain(steps, isLossy)]
  for (const [messageId, { texts, outcome }] of answers) {
    const own = steps.filter((event) => event['messageId'] === messageId)
    const chunks = new Set<number>()
    for (const run of own.filter((event) => event.eventType === 'CHUNK_RECEIVED')) {
      for (let at = Number(run['fromChunkIndex']); at <= Number(run['chunkIndex']); at += 1) {
        chunks.add(at)
      }
    }
    for (let at = 0; at < texts.length; at += 1) {
      if (!chunks.has(at)) faults.push(`chunk ${at} of ${messageId} is not told`)
    }
    const ends = own.filter((event) =>
      /^STREAM_(COMPLETED|CANCELLED|ERROR)$/.test(event.eventType),
    ).length
    if (ends === 0) faults.push(`${messageId} has no end, but ${outcome} was said`)
  }
  return faults
}

function placeOf(event: Told): Place {
  return { epoch: Number(event['epoch']), seq: Number(event['seq']) }
}

function gaps(steps: readonly Told[]): string[] {
  const told = new Map<number, Set<number>>()
  for (const step of steps) {
    const { epoch, seq } = placeOf(step)
    const seqs = told.get(epoch) ?? new Set()
    for (let at = Number(step['fromSeq'] ?? seq); at <= seq; at += 1) seqs.add(at)
    told.set(epoch, seqs)
  }
  return [...told].flatMap(([epoch, seqs]) => {
    const top = Math.max(...seqs)
    const missing = Array.from({ length: top }, (_, index) => index + 1).filter(
      (at) => !seqs.has(at),
    )
    return missing.map((seq) => `${epoch}-${seq} is not told`)
  })
}

/** Each epoch but the first names the last step of the one before. */
function brokenChain(steps: readonly Told[], isLossy: boolean): string[] {
  const tops = new Map<number, number>()
  const named = new Map<number, Place>()
  for (const step of steps) {
    const { epoch, seq } = placeOf(step)
    tops.set(epoch, Math.max(tops.get(epoch) ?? 0, seq))
    const previous = step['previous'] as Place | undefined
    if (previous !== undefined) named.set(epoch, previous)
  }
  const epochs = [...tops.keys()].sort((one, other) => one - other)
  return epochs.slice(1).flatMap((epoch, index) => {
    const before = epochs[index] ?? 0
    const previous = named.get(epoch)
    // After a loss the two differ, for Redis does not know what it has lost: that is how a loss is seen.
    if (isLossy && previous !== undefined && previous.epoch < epoch) return []
    if (previous?.epoch !== before) return [`${epoch} names ${previous?.epoch}, not ${before}`]
    if (previous.seq !== tops.get(before)) {
      return [`${epoch} says that ${before} ended at ${previous.seq}, not ${tops.get(before)}`]
    }
    return []
  })
}
