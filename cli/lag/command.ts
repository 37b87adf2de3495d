import { parseArgs } from 'node:util'
import { type OpenLog, runCommand, tableOf } from '../command.ts'
import { type ExitCode, type Terminal, UsageError } from '../usage.ts'
import { groupLags } from './lag.ts'

const usage = `Usage: bun run lag [--json]

How far each group is in each partition: what it has committed, where the log ends, what waits and for how long.

  --json   print one array
  --help

Asks KAFKA_BROKERS, else reads the folder of DATA_DIR (default .sluice), also while Sluice runs. Exit code: 0 done, 1 failed, 2 usage.
`

export interface LagInput {
  args: string[]
  /** Opened only when it is needed. */
  open(): OpenLog | Promise<OpenLog>
  terminal: Terminal
  now(): number
  signal: AbortSignal
}

/** `bun run lag`. Never rejects. */
export function lagCommand({ args, open, terminal, now, signal }: LagInput): Promise<ExitCode> {
  return runCommand('lag', terminal, async () => {
    const { isHelp, isJson } = optionsOf(args)
    if (isHelp) {
      terminal.out(usage)
      return
    }
    await using log = await open()
    const lags = await groupLags(log.eventLog, now(), signal)
    if (isJson) terminal.out(`${JSON.stringify(lags)}\n`)
    else if (lags.length === 0) terminal.out('No group has committed anything.\n')
    else terminal.out(tableOf(lags.map((lag) => ({ ...lag }))))
  })
}

function optionsOf(args: string[]): { isHelp: boolean; isJson: boolean } {
  try {
    const options = { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
    const { values } = parseArgs({ args, options })
    return { isHelp: values.help === true, isJson: values.json === true }
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
