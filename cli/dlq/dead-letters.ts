import type { EventLog, LogRecord } from '#eventlog/event-log.ts'

export interface DeadLetters {
  /** Of the parked records. */
  topic: string
  group: string
  count: number
  /** When the first and the last that are kept were parked; null: none is. */
  oldest: string | null
  newest: string | null
}

export interface DeadLetter {
  partition: number
  offset: number
  key: string | null
  /** Text, when it is; else in base64. Null when the record has none. */
  value?: string | null
  valueBase64?: string
  headers: Record<string, string>
}

export interface Wanted {
  partition: number | null
  offset: number | null
  limit: number
}

const suffix = '.dlq'

export function isDlqTopic(topic: string): boolean {
  return topic.endsWith(suffix)
}

/** Every dead-letter topic, by name. */
export async function deadLetters(eventLog: EventLog, signal: AbortSignal): Promise<DeadLetters[]> {
  const names = (await eventLog.topics()).map(({ topic }) => topic)
  const found: DeadLetters[] = []
  for (const topic of names.filter(isDlqTopic).toSorted()) {
    const letters = { topic, group: groupOf(topic, names), count: 0 }
    let [oldestMs, newestMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    for (const { partition, from, to } of (await eventLog.kept(topic)) ?? []) {
      letters.count += to - from
      for (const at of to > from ? [from, to - 1] : []) {
        const range = { topic, partition, from: at, to: at + 1 }
        for await (const page of eventLog.read(range, signal)) {
          for (const { timestamp } of page) {
            oldestMs = Math.min(oldestMs, timestamp)
            newestMs = Math.max(newestMs, timestamp)
          }
        }
      }
    }
    found.push({ ...letters, oldest: isoOf(oldestMs), newest: isoOf(newestMs) })
  }
  return found
}

/** The records of one, by partition and offset; null when there is no such topic. */
export async function readDeadLetters(
  eventLog: EventLog,
  topic: string,
  { wanted, signal }: { wanted: Wanted; signal: AbortSignal },
): Promise<DeadLetter[] | null> {
  const kept = await eventLog.kept(topic)
  if (kept === null || !isDlqTopic(topic)) return null
  const letters: DeadLetter[] = []
  for (const range of kept) {
    if (wanted.partition !== null && range.partition !== wanted.partition) continue
    const { offset } = wanted
    const bounds = offset === null ? {} : { from: Math.max(range.from, offset), to: offset + 1 }
    for await (const page of eventLog.read({ ...range, ...bounds }, signal)) {
      letters.push(...page.map(letterOf))
      if (letters.length >= wanted.limit) return letters.slice(0, wanted.limit)
    }
  }
  return letters
}

function letterOf({ partition, offset, key, value, headers }: LogRecord): DeadLetter {
  const text = value === null ? null : textOf(value)
  return {
    partition,
    offset,
    key: key === null ? null : Buffer.from(key).toString(),
    ...(text === undefined
      ? { valueBase64: Buffer.from(value ?? []).toString('base64') }
      : { value: text }),
    headers: Object.fromEntries(
      headers.map(([name, bytes]) => [name, Buffer.from(bytes).toString()]),
    ),
  }
}

/** Undefined when the bytes are no text. */
function textOf(value: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch {
    return undefined
  }
}

/** `<topic>.<group>.dlq`, where both may have dots: the longest topic that there is. */
export function groupOf(name: string, names: readonly string[]): string {
  const bases = names.filter((base) => name.startsWith(`${base}.`))
  const base = bases.toSorted((a, b) => b.length - a.length)[0] ?? name.split('.')[0] ?? ''
  return name.slice(base.length + 1, -suffix.length)
}

function isoOf(ms: number): string | null {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : null
}
