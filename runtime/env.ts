import { z } from 'zod'

export type Env = Record<string, string | undefined>

/** The environment is wrong: `message` has every problem on a line of its own, naming the variable. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

// A misspelt limit must not be a limit that silently isn't there: with these prefixes only these names are ours.
const prefixed = /^(RATE|MAX|OUTBOX|NOTIFY)_/
const names: ReadonlySet<string> = new Set([
  'RATE_CHATS_PER_MINUTE',
  'RATE_REQUESTS_PER_MINUTE',
  'MAX_CONTENT_BYTES',
  'MAX_ANSWER_BYTES',
  'MAX_GENERATIONS_PER_USER',
  'MAX_CONNECTIONS_PER_USER',
  'MAX_CONNECTIONS',
  'OUTBOX_MAX_EVENTS',
  'OUTBOX_MAX_BYTES',
  'NOTIFY_WEBHOOK_URL',
  'NOTIFY_SLACK_WEBHOOK_URL',
  'NOTIFY_SMTP_URL',
  'NOTIFY_MAIL_FROM',
  'NOTIFY_MAIL_TO',
])

/** Parses an environment (an empty value counts as unset). Throws a `ConfigError` with all problems at once. */
export function parseEnv<Schema extends z.ZodType>(schema: Schema, env: Env): z.infer<Schema> {
  const set = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const problems = Object.keys(set)
    .filter((name) => prefixed.test(name) && !names.has(name))
    .map((name) => `${name}: no such variable`)
  const parsed = schema.safeParse(set)
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => problemOf(issue, set)))
  }
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  return parsed.data as z.infer<Schema>
}

function problemOf(issue: z.core.$ZodIssue, set: Env): string {
  const name = issue.path.map(String).join('.')
  if (name === '') return issue.message
  if (issue.code === 'invalid_type' && set[name] === undefined) return `${name}: must be set`
  if (issue.code === 'invalid_value') return `${name}: must be one of ${issue.values.join(', ')}`
  return `${name}: ${issue.message}`
}

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `250ms`, `10s`, `5m`, `1h`, `7d`: milliseconds. */
export function duration() {
  return z.string().transform((text, context): number => {
    const match = /^(\d+)(ms|s|m|h|d)$/.exec(text)
    const ms = match ? Number(match[1]) * (unitMs[match[2] ?? ''] ?? Number.NaN) : Number.NaN
    if (Number.isSafeInteger(ms)) return ms
    context.addIssue('must be a number with a unit of ms, s, m, h or d, such as 10m')
    return z.NEVER
  })
}

/** `true` or `false`, nothing else. */
export function boolean() {
  return z.string().transform((text, context): boolean => {
    if (text === 'true' || text === 'false') return text === 'true'
    context.addIssue('must be true or false')
    return z.NEVER
  })
}

export function integer(min = 0, max = Number.MAX_SAFE_INTEGER) {
  return z.string().transform((text, context): number => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
    if (Number.isSafeInteger(value) && value >= min && value <= max) return value
    context.addIssue(
      max === Number.MAX_SAFE_INTEGER
        ? `must be a whole number of at least ${min}`
        : `must be a whole number from ${min} to ${max}`,
    )
    return z.NEVER
  })
}

/** Comma-separated; spaces around a member and empty members do not count. */
export function list() {
  return z.string().transform((text) =>
    text
      .split(',')
      .map((member) => member.trim())
      .filter((member) => member !== ''),
  )
}

/** Throws a `ConfigError` when there are any. */
export function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new ConfigError(problems)
}

/** What each parser answers; throws one `ConfigError` with the problems of all of them. */
export function together<Parsers extends Record<string, () => unknown>>(
  parsers: Parsers,
): { [Name in keyof Parsers]: ReturnType<Parsers[Name]> } {
  const problems: string[] = []
  const parsed: Record<string, unknown> = {}
  for (const [name, parse] of Object.entries(parsers)) {
    try {
      parsed[name] = parse()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
    }
  }
  if (problems.length > 0) throw new ConfigError([...new Set(problems)])
  return parsed as { [Name in keyof Parsers]: ReturnType<Parsers[Name]> }
}
