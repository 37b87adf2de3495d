import { parseArgs } from 'node:util'
import { type OpenLog, runCommand, tableOf } from '../command.ts'
import { type ExitCode, plain, type Terminal, UsageError } from '../usage.ts'
import { type DeadLetter, deadLetters, readDeadLetters, type Wanted } from './dead-letters.ts'

const usage = `Usage: bun run dlq list [--json]
       bun run dlq show <topic> [--partition <p> [--offset <o>]] [--limit <n>] [--json]

What groups could not handle and have parked, and why.

  --partition, --offset   only these
  --limit <n>             at most so many; default 20
  --json                  print one array
  --help

Reads the folder of DATA_DIR (default .sluice), also while Sluice runs. Exit code: 0 done, 1 failed, 2 usage.
`

export interface DlqInput {
  args: string[]
  /** Opened only when it is needed. */
  open(): OpenLog
  terminal: Terminal
  signal: AbortSignal
}

type Values = ReturnType<typeof parsed>['values']

/** `bun run dlq …`. Never rejects. */
export function dlqCommand(input: DlqInput): Promise<ExitCode> {
  const { args, terminal } = input
  return runCommand('dlq', terminal, async () => {
    const { values, positionals } = parsed(args)
    const [command, topic, ...rest] = positionals
    if (values.help === true) terminal.out(usage)
    else if (command === 'list' && topic === undefined) await list(values, input)
    else if (command === 'show' && topic !== undefined && rest.length === 0)
      await show(topic, values, input)
    else if (command === 'redrive')
      throw new UsageError('redrive works with Kafka only, which this version has not')
    else throw new UsageError('what to do: list, or show <topic>')
  })
}

async function list(values: Values, { open, terminal, signal }: DlqInput): Promise<void> {
  await using log = open()
  const found = await deadLetters(log.eventLog, signal)
  if (values.json === true) terminal.out(`${JSON.stringify(found)}\n`)
  else if (found.length === 0) terminal.out('Nothing was ever parked.\n')
  else terminal.out(tableOf(found.map((letters) => ({ ...letters }))))
}

async function show(
  topic: string,
  values: Values,
  { open, terminal, signal }: DlqInput,
): Promise<void> {
  const wanted: Wanted = {
    partition: whole(values.partition, '--partition', 0),
    offset: whole(values.offset, '--offset', 0),
    limit: whole(values.limit, '--limit', 1) ?? 20,
  }
  if (wanted.offset !== null && wanted.partition === null) {
    throw new UsageError('--offset wants --partition')
  }
  await using log = open()
  const letters = await readDeadLetters(log.eventLog, topic, { wanted, signal })
  if (letters === null) throw new Error(`there is no dead-letter topic ${topic}`)
  if (values.json === true) terminal.out(`${JSON.stringify(letters)}\n`)
  else for (const letter of letters) terminal.out(drawn(letter))
}

function drawn({ partition, offset, key, value, valueBase64, headers }: DeadLetter): string {
  const lines = Object.entries(headers).map(([name, text]) => `  ${plain(name)}: ${plain(text)}`)
  const text =
    value === undefined ? `base64 ${valueBase64}` : value === null ? 'null' : plain(value)
  return [
    `${partition}:${offset}  key ${plain(key ?? 'null')}`,
    ...lines,
    `  ${text}`,
    '',
    '',
  ].join('\n')
}

function whole(text: string | undefined, option: string, min: number): number | null {
  if (text === undefined) return null
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min) return value
  throw new UsageError(`${option} must be a whole number of at least ${min}`)
}

function parsed(args: string[]) {
  const string = { type: 'string' } as const
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        partition: string,
        offset: string,
        limit: string,
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
