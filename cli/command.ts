import type { EventLog } from '#eventlog/event-log.ts'
import { type ExitCode, type Terminal, UsageError } from './usage.ts'

/** A log that a command has to itself; disposing closes it. */
export interface OpenLog extends AsyncDisposable {
  eventLog: EventLog
}

/** Runs a command to its exit code: what went wrong goes to `err` in a line. Never rejects. */
export async function runCommand(
  name: string,
  terminal: Terminal,
  run: () => Promise<void>,
): Promise<ExitCode> {
  try {
    await run()
    return 0
  } catch (error) {
    terminal.err(`${error instanceof Error ? error.message : error}\n`)
    if (!(error instanceof UsageError)) return 1
    terminal.err(`See bun run ${name} --help\n`)
    return 2
  }
}

/** Rows as columns, the numbers to the right. */
export function tableOf(rows: readonly Record<string, string | number | null>[]): string {
  const names = Object.keys(rows[0] ?? {})
  const cell = (value: string | number | null | undefined) => String(value ?? '-')
  const widths = names.map((name) =>
    Math.max(name.length, ...rows.map((row) => cell(row[name]).length)),
  )
  const line = (cells: string[], isRight: (at: number) => boolean) =>
    cells
      .map((text, at) =>
        isRight(at) ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  const isNumber = (at: number) => rows.every((row) => typeof row[names[at] ?? ''] !== 'string')
  const head = line(
    names.map((name) => name.toUpperCase()),
    isNumber,
  )
  return [
    head,
    ...rows.map((row) =>
      line(
        names.map((name) => cell(row[name])),
        isNumber,
      ),
    ),
    '',
  ].join('\n')
}
