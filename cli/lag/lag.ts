import type { EventLog, Kept, Position } from '#eventlog/event-log.ts'

export interface GroupLag {
  group: string
  topic: string
  partition: number
  /** The next offset that the group will read. */
  committed: number
  end: number
  /** Records that wait. */
  lag: number
  /** Age of the oldest of them. */
  lagSeconds: number
}

/** How far every group that ever committed is, by group, topic and partition. */
export async function groupLags(
  eventLog: EventLog,
  nowMs: number,
  signal: AbortSignal,
): Promise<GroupLag[]> {
  const kept = new Map<string, Kept>()
  for (const { topic } of await eventLog.topics()) {
    for (const range of (await eventLog.kept(topic)) ?? []) kept.set(nameOf(range), range)
  }
  const lags: GroupLag[] = []
  for (const group of (await eventLog.groups()).toSorted()) {
    for (const position of await eventLog.committed(group)) {
      const range = kept.get(nameOf(position))
      if (range === undefined) continue
      const { topic, partition, offset: committed } = position
      const lag = Math.max(0, range.to - committed)
      const waitingMs = lag === 0 ? 0 : await ageOf(eventLog, position, { nowMs, signal })
      lags.push({
        group,
        topic,
        partition,
        committed,
        end: range.to,
        lag,
        lagSeconds: waitingMs / 1_000,
      })
    }
  }
  return lags.sort(
    (a, b) => compare(a.group, b.group) || compare(a.topic, b.topic) || a.partition - b.partition,
  )
}

async function ageOf(
  eventLog: EventLog,
  { topic, partition, offset }: Position,
  { nowMs, signal }: { nowMs: number; signal: AbortSignal },
): Promise<number> {
  for await (const page of eventLog.read(
    { topic, partition, from: offset, to: offset + 1 },
    signal,
  )) {
    const [first] = page
    if (first !== undefined) return Math.max(0, nowMs - first.timestamp)
  }
  return 0
}

function nameOf({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
