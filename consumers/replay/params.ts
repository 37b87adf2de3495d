import { badField } from './replay-error.ts'

export type Query = Record<string, string | undefined>

export const limitDefault = 1_000
const limitMax = 10_000

const iso = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/
const relative = /^-(\d{1,9})(ms|s|m|h|d)$/
const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const identifier = /^[A-Za-z0-9_.:-]{1,128}$/

/** ISO 8601 (UTC when it names no zone) or `-1h`; null when it isn't given. */
export function timeParam(query: Query, field: string, nowMs: number): number | null {
  const text = query[field]
  if (text === undefined) return null
  const match = relative.exec(text)
  if (match !== null) return nowMs - Number(match[1]) * (unitMs[match[2] ?? ''] ?? 0)
  // A + that nobody encoded arrives as a space.
  const written = text.replace(' ', '+')
  const hasZone = /(?:Z|[+-]\d{2}:?\d{2})$/.test(written.slice(10))
  const ms = Date.parse(hasZone || written.length === 10 ? written : `${written}Z`)
  if (!iso.test(written) || Number.isNaN(ms)) throw badField(field, 'an ISO 8601 time or like -1h')
  return ms
}

/** A whole number from `min` to `max`; null when it isn't given. */
export function integerParam(
  query: Query,
  field: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number | null {
  const text = query[field]
  if (text === undefined) return null
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  throw badField(field, `a whole number ${range}`)
}

export function limitParam(query: Query): number | null {
  return integerParam(query, 'limit', 1, limitMax)
}

export function identifierParam(query: Query, field: string): string | null {
  const text = query[field]
  if (text === undefined) return null
  if (!identifier.test(text)) throw badField(field, '1 to 128 of A-Z a-z 0-9 . _ : -')
  return text
}

/** How many times as fast as the original; 0: as fast as it goes. */
export function speedParam(query: Query): number {
  const text = query['speed']
  if (text === undefined) return 0
  const speed = /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(speed)) throw badField('speed', 'a number of at least 0')
  return speed
}

export interface RecordCursor {
  partition: number
  offset: number
}

/** `<partition>:<offset>` of the last event that the caller has; null for anything else. */
export function recordCursor(text: string | null | undefined): RecordCursor | null {
  const match = /^(\d{1,6}):(\d{1,16})$/.exec(text ?? '')
  return match === null ? null : { partition: Number(match[1]), offset: Number(match[2]) }
}

/** As `recordCursor`, but a malformed one is refused. */
export function cursorParam(query: Query): RecordCursor | null {
  const text = query['cursor']
  if (text === undefined) return null
  const cursor = recordCursor(text)
  if (cursor === null) throw badField('cursor', '<partition>:<offset>')
  return cursor
}
