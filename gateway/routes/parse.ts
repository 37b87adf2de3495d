import { z } from 'zod'
import { ContractError } from '../chat/errors.ts'
import { wellFormed } from '../chat/text.ts'

const identifier = /^[A-Za-z0-9._:-]{1,128}$/
const identifierRule = 'must be 1 to 128 of A-Z a-z 0-9 . _ : -'
const isoTime =
  /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/
const relativeTime = /^-(\d{1,9})(ms|s|m|h|d)$/
const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
// The years that both ISO 8601 and Postgres write with four digits.
const timeMinMs = Date.UTC(1000, 0, 1)
export const timeMaxMs = Date.UTC(9999, 11, 31)

/** What a client may choose: a session, a user, a request key. */
export function id() {
  return z.string({ error: identifierRule }).regex(identifier, identifierRule)
}

/** A text of at most `max` UTF-16 units. */
export function shortText(max: number) {
  const rule = `must be a text of at most ${max} characters`
  return z.string({ error: rule }).max(max, rule)
}

/** A text that is looked for, as it would have been stored. */
export function soughtText(max: number) {
  return shortText(max).transform(wellFormed)
}

/** A whole number in a query. */
export function wholeNumber(min: number, max: number) {
  const rule = `must be a whole number from ${min} to ${max}`
  return z
    .string({ error: rule })
    .regex(/^\d{1,9}$/, rule)
    .transform(Number)
    .pipe(z.number().min(min, rule).max(max, rule))
}

/**
 * ISO 8601 (UTC when it names no zone) or `-1h`: milliseconds since the epoch. A schema is compiled when it is first
 * used, which takes longer than most requests: make it once, not for each.
 */
export function time(now: () => number) {
  return z.string().transform((text, context): number => {
    const atMs = timeOf(text, now())
    if (atMs >= timeMinMs && atMs <= timeMaxMs) return atMs
    context.addIssue('must be an ISO 8601 time, or as -1h, -7d')
    return z.NEVER
  })
}

function timeOf(text: string, nowMs: number): number {
  const relative = relativeTime.exec(text)
  if (relative !== null) return nowMs - Number(relative[1]) * (unitMs[relative[2] ?? ''] ?? 0)
  // A + that nobody encoded arrives as a space before the zone.
  const written = text.replace(/ (?=\d{2}:?\d{2}$)/, (space, at: number) => (at > 10 ? '+' : space))
  if (!isoTime.test(written)) return Number.NaN
  const isZoned = written.length === 10 || /(?:Z|[+-]\d{2}:?\d{2})$/.test(written.slice(10))
  return Date.parse(isZoned ? written : `${written}Z`)
}

/** The id of a session in a path or query. Without a schema: a storm of connections comes by here. */
export function sessionIdOf(text: string): string {
  return idOf(text, 'sessionId')
}

/** An id that stands where no schema sees it; `field` is what it is called there. */
export function idOf(text: string, field: string): string {
  if (identifier.test(text)) return text
  throw invalid(`${field}: ${identifierRule}`, field)
}

/** The parameters of a query; of one that stands there twice the first counts. */
export function queryOf(url: URL): Record<string, string> {
  const query: Record<string, string> = {}
  for (const [name, value] of url.searchParams) query[name] ??= value
  return query
}

/** Throws `invalid_request` that names the field and its rule. */
export function parse<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data as z.infer<Schema>
  const issue = parsed.error.issues[0]
  const field = issue?.path.map(String).join('.') ?? ''
  if (field === '') throw invalid('The body must be a JSON object.')
  throw invalid(`${field}: ${issue?.message ?? 'is not valid'}`, field)
}

export function invalid(message: string, field?: string): ContractError {
  return new ContractError('invalid_request', message, field === undefined ? {} : { field })
}

/** The JSON object that a body is. `too_large` past `maxBytes`, told before the rest of it is read. */
export async function bodyOf(request: Request, maxBytes: number): Promise<Record<string, unknown>> {
  const bytes = await bytesOf(request, maxBytes)
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw invalid('The body must be a JSON object.')
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw invalid('The body must be a JSON object.')
}

async function bytesOf(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = () =>
    new ContractError('too_large', `The body must be at most ${maxBytes} bytes.`)
  if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge()
  const pieces: Uint8Array[] = []
  let size = 0
  try {
    for await (const piece of request.body ?? []) {
      size += piece.byteLength
      if (size > maxBytes) break
      pieces.push(piece)
    }
  } catch (cause) {
    throw new ContractError('invalid_request', 'The body could not be read.', {}, { cause })
  }
  if (size > maxBytes) throw tooLarge()
  return Buffer.concat(pieces)
}
