import { endsWithinMs } from '#runtime/run-main.ts'
import { runProcess } from '#runtime/shutdown.ts'
import { type ConsumerArguments, consumerArguments, UsageError } from './arguments.ts'

export interface CommandInput {
  /** As in `bun run <name>`. */
  name: string
  /** What it does, in a sentence. */
  about: string
  args: string[]
  canRebuild?: boolean
  /** What it takes beside its options, as its usage names it; nothing by default. */
  operand?: string
  signal: AbortSignal
}

/** Runs a consumer's command line to its exit code: 0 done, 1 failed, 2 usage. Never rejects. */
export async function consumerCommand(
  input: CommandInput,
  run: (args: ConsumerArguments) => Promise<void>,
): Promise<0 | 1 | 2> {
  const { name, args, signal } = input
  let parsed: ConsumerArguments
  try {
    parsed = consumerArguments(args, Date.now())
    if (!parsed.isHelp) check(parsed, input)
  } catch (error) {
    return refuse(error, name)
  }
  if (parsed.isHelp) {
    process.stdout.write(usageOf(input))
    return 0
  }
  let refused = false
  const code = await runProcess(
    async () => {
      try {
        await run(parsed)
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        refused = true
        refuse(error, name)
      }
    },
    { signal, withinMs: endsWithinMs },
  )
  return refused ? 2 : code
}

function refuse(error: unknown, name: string): 2 {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\nSee bun run ${name} --help\n`)
  return 2
}

function check(
  { positionals, isRebuild, from }: ConsumerArguments,
  { name, canRebuild = false, operand }: CommandInput,
): void {
  const [first, second] = positionals
  if (operand !== undefined && first === undefined) throw new UsageError(`${operand} is missing`)
  const surplus = operand === undefined ? first : second
  if (surplus !== undefined) throw new UsageError(`what is ${surplus}?`)
  if (isRebuild && !canRebuild) throw new UsageError(`--rebuild is not for ${name}`)
  if (isRebuild && from !== null) throw new UsageError('--rebuild takes no --from')
}

function usageOf({ name, about, canRebuild = false, operand }: CommandInput): string {
  const rebuild = [
    '  --rebuild       make its tables anew from the log, in one transaction, and end; readers see the old until then',
    '  --json          with --rebuild: print {group, records, events, skipped, durationMs}',
  ]
  return [
    `Usage: bun run ${name}${operand === undefined ? '' : ` ${operand}`} [--from <place>]${canRebuild ? ` | --rebuild [--json]` : ''}`,
    '',
    about,
    '',
    '  --from <place>  where the group begins when it is new: beginning, end, a time like -7d or ISO 8601',
    ...(canRebuild ? rebuild : []),
    '  --help',
    '',
    'Configured by the environment: .env.example has every variable. SIGTERM: finishes what is in hand and ends.',
    '',
  ].join('\n')
}
