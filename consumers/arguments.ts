import { parseArgs } from 'node:util'
import type { From } from '#eventlog/event-log.ts'
import { fromOf } from './from.ts'

/** The command line is wrong. */
export class UsageError extends Error {
  override name = 'UsageError'
}

export interface ConsumerArguments {
  isHelp: boolean
  /** Make its tables anew and end. */
  isRebuild: boolean
  isJson: boolean
  /** Where a group that is new begins; null: where it does by itself. */
  from: From | null
  /** Files and the like. */
  positionals: string[]
}

const boolean = { type: 'boolean' } as const

/** The command line of a consumer. Throws `UsageError`. */
export function consumerArguments(args: string[], nowMs: number): ConsumerArguments {
  const { values, positionals } = parsed(args)
  const from = values.from === undefined ? null : fromOf(values.from, nowMs)
  if (values.from !== undefined && from === null) {
    throw new UsageError('--from must be beginning, end, like -7d, or an ISO 8601 time')
  }
  return {
    isHelp: values.help === true,
    isRebuild: values.rebuild === true,
    isJson: values.json === true,
    from,
    positionals,
  }
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      // A time like -7d would be taken for an option.
      args: args.flatMap((arg, at) => {
        if (arg === '--from' && /^-\d/.test(args[at + 1] ?? '')) return []
        return args[at - 1] === '--from' && /^-\d/.test(arg) ? [`--from=${arg}`] : [arg]
      }),
      allowPositionals: true,
      options: {
        from: { type: 'string' },
        rebuild: boolean,
        json: boolean,
        help: { ...boolean, short: 'h' },
      },
    })
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
