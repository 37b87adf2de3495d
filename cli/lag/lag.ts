import { isResumeMark } from '#consumers/resume.ts'
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

// Records of so many partitions are looked at together.
const atATime = 8

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
  const groups = (await eventLog.groups()).filter((group) => !isResumeMark(group)).toSorted()
  const positions: (Position & { group: string; end: number })[] = []
  for (const group of groups) {
    for (const position of await eventLog.committed(group)) {
      const range = kept.get(nameOf(position))
      if (range !== undefined) positions.push({ ...position, group, end: range.to })
    }
  }
  const lags: GroupLag[] = []
  for (let at = 0; at < positions.length; at += atATime) {
    const some = positions.slice(at, at + atATime)
    lags.push(...(await Promise.all(some.map((position) => lagOf(position)))))
  }
  return lags.sort(
    (a, b) => compare(a.group, b.group) || compare(a.topic, b.topic) || a.partition - b.partition,
  )

  async function lagOf(position: Position & { group: string; end: number }): Promise<GroupLag> {
    const { group, topic, partition, offset: committed, end } = position
    const lag = Math.max(0, end - committed)
    const waitingMs = lag === 0 ? 0 : await ageOf(eventLog, position, { nowMs, signal })
    return { group, topic, partition, committed, end, lag, lagSeconds: waitingMs / 1_000 }
  }
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
