import type { From } from '#eventlog/event-log.ts'

const agoPattern = /^-(\d{1,9})(ms|s|m|h|d)$/
const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const isoPattern = /^\d{4}-\d{2}-\d{2}/

/** `beginning`, `end`, `-7d` (so long ago) or an ISO 8601 time; null: none of them. */
export function fromOf(text: string, nowMs: number): From | null {
  if (text === 'beginning' || text === 'end') return text
  const ago = agoPattern.exec(text)
  if (ago !== null) return { atMs: nowMs - Number(ago[1]) * (unitMs[ago[2] ?? ''] ?? 0) }
  const atMs = isoPattern.test(text) ? Date.parse(text) : Number.NaN
  return Number.isFinite(atMs) ? { atMs } : null
}

/** Where a new group begins. Throws a `TypeError` when the text names no place. */
export function beginningOf(from: From | string = 'beginning', nowMs: number): From {
  if (typeof from !== 'string') return from
  const place = fromOf(from, nowMs)
  if (place === null) throw new TypeError(`no such place to begin: ${from}`)
  return place
}
