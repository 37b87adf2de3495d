import { parseArgs } from 'node:util'
import { markResume } from '#consumers/resume.ts'
import type { Database } from '#db/client.ts'
import { askResume } from '#db/queries/resume-asked.ts'
import { type OpenLog, runCommand, tableOf } from '../command.ts'
import { type ExitCode, plain, type Terminal, UsageError } from '../usage.ts'
import { type DeadLetter, deadLetters, readDeadLetters, type Wanted } from './dead-letters.ts'
import { redrive } from './redrive.ts'
import { type Refused, refusedLetters } from './refused.ts'

const usage = `Usage: bun run dlq list [--json]
       bun run dlq show <topic> [--partition <p> [--offset <o>]] [--limit <n>] [--json]
       bun run dlq redrive <topic> (--all | --partition <p> --offset <o>) [--dry-run] [--json]
       bun run dlq resume <group>

What groups could not handle and have parked, and why; in list also (refused) what never came into Kafka, for it refused
it, and still waits in Redis. redrive puts records back to where they came from, for their group
alone, each once however often it is asked for. resume lets a group go on at once where too many parked records have
paused it.

  --partition, --offset   only these
  --limit <n>             at most so many; default 20
  --all                   every one that is kept
  --dry-run               say what would be done, and do nothing
  --json                  print one value alone
  --help

Works on KAFKA_BROKERS, REDIS_URL and DATABASE_URL, else on the folder of DATA_DIR (default .sluice): also while Sluice runs, but for
redrive, which needs its database. Exit code: 0 done, 1 failed, 2 usage.
`

export interface DlqInput {
  args: string[]
  /** The log of a folder, which one process at a time may have with its database. */
  isFolder: boolean
  /** Opened only when it is needed; `isAlone`: nobody else may have the folder. */
  open(isAlone?: boolean): Promise<OpenLog>
  /** Has the audit. Of a folder: only while its log is open alone. */
  openDatabase(): Promise<Database>
  /** What relays have put aside. */
  refused(): Promise<Refused[]>
  /** Who does it, as the audit has it. */
  actor: string
  nodeId: string
  now(): number
  terminal: Terminal
  signal: AbortSignal
}

type Values = ReturnType<typeof parsed>['values']

/** `bun run dlq …`. Never rejects. */
export function dlqCommand(input: DlqInput): Promise<ExitCode> {
  const { args, terminal } = input
  return runCommand('dlq', terminal, async () => {
    const { values, positionals } = parsed(args)
    const [command, name, ...rest] = positionals
    const isOne = name !== undefined && rest.length === 0
    if (values.help === true) terminal.out(usage)
    else if (command === 'list' && name === undefined) await list(values, input)
    else if (command === 'show' && isOne) await show(name, values, input)
    else if (command === 'redrive' && isOne) await putBack(name, values, input)
    else if (command === 'resume' && isOne) await resume(name, values, input)
    else throw new UsageError('what to do: list, show <topic>, redrive <topic>, resume <group>')
  })
}

async function putBack(topic: string, values: Values, input: DlqInput): Promise<void> {
  const partition = whole(values.partition, '--partition', 0)
  const offset = whole(values.offset, '--offset', 0)
  const isAll = values.all === true
  const isOne = partition !== null && offset !== null
  const isSome = partition !== null || offset !== null
  if (isAll ? isSome : !isOne) throw new UsageError('either --all, or --partition and --offset')
  const isDryRun = values['dry-run'] === true
  const { terminal, signal, actor, nodeId, now } = input
  const draw = (text: string) => terminal.isErrTty && terminal.err(`\r\x1b[2K${text}`)
  await using log = await input.open(true)
  await using database = await input.openDatabase()
  const { eventLog } = log
  const place = isOne ? { partition, offset } : null
  const done = await redrive(
    { topic, place, isDryRun },
    {
      ...{ eventLog, database, actor, nodeId, now, signal },
      progress: (at, all) => draw(`${at} of ${all}`),
    },
  )
  draw('')
  if (done === null) throw new Error(`there is no dead-letter topic ${topic}`)
  const { redriven, skipped } = done
  if (values.json === true) terminal.out(`${JSON.stringify(done)}\n`)
  else terminal.out(`${redriven} ${isDryRun ? 'would be put' : 'put'} back, ${skipped} skipped\n`)
}

async function resume(group: string, values: Values, input: DlqInput): Promise<void> {
  const { terminal, isFolder, now } = input
  await using log = await input.open()
  const isThere = (await log.eventLog.groups()).includes(group)
  if (!isThere) throw new Error(`there is no group ${group}`)
  if (isFolder) {
    await markResume(log.eventLog, group, now())
  } else {
    await using database = await input.openDatabase()
    await askResume(database.db, group, now())
  }
  if (values.json === true) terminal.out(`${JSON.stringify({ group, asked: true })}\n`)
  else terminal.out(`${group} is told to go on\n`)
}

async function list(values: Values, { open, refused, terminal, signal }: DlqInput): Promise<void> {
  await using log = await open()
  const parked = await deadLetters(log.eventLog, signal)
  const found = [...parked, ...refusedLetters(await refused())]
  if (values.json === true) terminal.out(`${JSON.stringify(found)}\n`)
  else if (found.length === 0) terminal.out('Nothing was ever parked.\n')
  else terminal.out(tableOf(found.map((letters) => ({ ...letters, refused: reasonOf(letters) }))))
}

function reasonOf(letters: object): string | null {
  return 'refused' in letters ? plain(String(letters.refused)) : null
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
  await using log = await open()
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
        all: { type: 'boolean' },
        'dry-run': { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
