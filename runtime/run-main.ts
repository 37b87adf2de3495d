import { parseArgs } from 'node:util'
import { runProcess } from './shutdown.ts'

/** What is in hand has ended by then, whatever is away. */
export const endsWithinMs = 9_500

/** A process that takes no arguments but `--help`, to its exit code: 0 done, 1 failed, 2 usage. Never rejects. */
export async function runMain(
  usage: string,
  run: () => Promise<void>,
  signal: AbortSignal,
): Promise<0 | 1 | 2> {
  const help = isHelp()
  if (help === false) return await runProcess(run, { signal, withinMs: endsWithinMs })
  const to = help === true ? process.stdout : process.stderr
  to.write(usage)
  return help === true ? 0 : 2
}

/** Null: something else is asked. */
function isHelp(): boolean | null {
  try {
    const options = { help: { type: 'boolean', short: 'h' } } as const
    return parseArgs({ options }).values.help === true
  } catch {
    return null
  }
}
