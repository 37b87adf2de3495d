import { iso } from './time.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Record<string, unknown>

/** One JSON object a line. Fields say what and which, never what somebody wrote, and no secret. */
export interface Log {
  debug(msg: string, fields?: LogFields): void
  info(msg: string, fields?: LogFields): void
  warn(msg: string, fields?: LogFields): void
  error(msg: string, fields?: LogFields): void
  /** A log whose lines all have these fields. */
  child(fields: LogFields): Log
}

interface LogOptions {
  process: string
  level?: LogLevel
  write?: (line: string) => void
}

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 }
const hidden =
  /^(authorization|cookie|set-cookie|password|passwd|secret|jwt|.*token|.*api_?key|content|text|parts|excerpt)$/i
const urlPassword = /(\w+:\/\/[^\s/:@]*):[^\s/@]+@/g
const textMax = 2_000

export function createLog(options: LogOptions): Log {
  const { level = 'info', write = (line: string) => process.stdout.write(line) } = options
  return logWith({ process: options.process }, order[level], write)
}

/** Says nothing; for tests. */
export const quietLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => quietLog,
}

function logWith(base: LogFields, least: number, write: (line: string) => void): Log {
  const line = (level: LogLevel) => (msg: string, fields?: LogFields) => {
    if (order[level] < least) return
    const entry = { time: iso(Date.now()), level, msg: safeText(msg), ...base, ...fields }
    write(`${JSON.stringify(entry, safe)}\n`)
  }
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    child: (fields) => logWith({ ...base, ...fields }, least, write),
  }
}

function safe(key: string, value: unknown): unknown {
  if (value !== undefined && value !== null && hidden.test(key)) return '[hidden]'
  if (typeof value === 'string') return safeText(value)
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error) return errorFields(value)
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`
  return value
}

/** An error's own fields (a statement's parameters, a request's body) may hold content: only these are told. */
function errorFields(error: Error): LogFields {
  return {
    name: error.name,
    ...('code' in error && { code: String(error.code) }),
    message: error.message,
    ...(error.cause instanceof Error && { cause: error.cause }),
    stack: error.stack?.split('\n').slice(1, 6).join('\n'),
  }
}

function safeText(text: string): string {
  const short = text.length > textMax ? `${text.slice(0, textMax)}…` : text
  return short.replace(urlPassword, '$1:[hidden]@')
}
